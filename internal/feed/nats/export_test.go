package nats

import "time"

// SetAckWait makes the server deliver again after another time than usual.
func (s *Source) SetAckWait(d time.Duration) { s.ackWait = d }
