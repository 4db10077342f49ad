package nats

import (
	"context"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
)

// A dialer connects to servers for the client.
type dialer struct {
	ctx     context.Context // ends attempts
	grace   context.Context // ends connections
	waiting *queue          // nil: none
	err     error           // of the last attempt
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	var conn net.Conn
	if conn, d.err = (&net.Dialer{Timeout: answerTimeout}).DialContext(d.ctx, network, address); d.err != nil {
		return nil, d.err
	}
	l := &line{Conn: conn, waiting: d.waiting, over: make(chan struct{})}
	l.forget = context.AfterFunc(d.grace, func() { conn.Close() })
	return l, nil
}

// A line is a connection that is not read from while the queue is full.
type line struct {
	net.Conn
	waiting *queue // nil: none
	forget  func() bool

	once sync.Once
	over chan struct{} // closed with the connection
}

func (l *line) Read(p []byte) (int, error) {
	if l.waiting != nil {
		l.waiting.room(l.over)
	}
	return l.Conn.Read(p)
}

func (l *line) Close() error {
	l.once.Do(func() {
		l.forget()
		close(l.over)
	})
	return l.Conn.Close()
}

// surplus is more messages than are in what is read at once: 32 KiB, and as much again
// in the buffers of TLS. The smallest has 13 bytes.
const surplus = 8192

// A queue has the messages that have arrived. The client would drop those that it has no
// room for, so reading stops before that.
type queue struct {
	messages chan *nats.Msg
	limit    int           // from which on nothing is read
	taken    chan struct{} // has an element when some were taken
}

func newQueue(limit int) *queue {
	return &queue{messages: make(chan *nats.Msg, limit+surplus), limit: limit, taken: make(chan struct{}, 1)}
}

// room waits until there are fewer than limit messages, or over is closed.
func (q *queue) room(over <-chan struct{}) {
	for len(q.messages) >= q.limit {
		select {
		case <-q.taken:
		case <-over:
			return
		}
	}
}

// took is called after messages have been taken.
func (q *queue) took() {
	select {
	case q.taken <- struct{}{}:
	default:
	}
}
