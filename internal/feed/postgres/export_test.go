package postgres

import "time"

// SetTimes changes how often the table is looked at without a notification, and how long
// a statement may take.
func (s *Source) SetTimes(poll, statement time.Duration) { s.poll, s.statement = poll, statement }
