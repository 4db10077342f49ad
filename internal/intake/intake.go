// Package intake answers small requests on kept-alive connections without a
// goroutine each.
//
// A publisher that sends one message after the other on one connection spends
// most of its server's time in net/http's machinery. A [Server] adopts such a
// connection after net/http has served its first requests, reads plain, complete,
// small HTTP/1.1 requests from it, and has a [Handler] answer them. Whatever is
// not of that kind (an unusual header, a large or chunked body, another path, or a
// request that does not arrive whole within a second) is not judged here: the
// connection goes back to net/http, unread bytes first.
//
// A worker is one goroutine with one epoll descriptor, which parks in Go's network
// poller. It exists while it has connections. Linux only; elsewhere [Supported]
// is false and net/http serves everything.
package intake

import (
	"sync/atomic"
	"time"
)

// A Handler answers requests.
type Handler interface {
	// NewBatch is called once for each worker.
	NewBatch() Batch
}

// A Batch is the requests that a worker has read and not answered. What has come on
// all its connections is carried out together, so that many share what each would
// have to wait for.
type Batch interface {
	// Add takes a request. It returns false to leave it to net/http. r is valid until
	// it returns.
	Add(r *Request) bool
	// Commit carries all requests out. It may wait; the connections of the worker wait
	// with it. If it fails none was carried out, and net/http serves them again.
	Commit() error
	// Answer appends the whole response to request i, counted from 0.
	Answer(dst []byte, i int) []byte
	// Reset empties the batch.
	Reset()
}

// A Conn is a connection to be adopted.
type Conn struct {
	FD     int    // owned by the server from Adopt on
	Unread []byte // read from FD already, not served
	// GiveBack gets the connection, in its own goroutine, when it is to be served
	// by net/http again. It owns fd.
	GiveBack func(fd int, unread []byte)
}

// Options configure a Server.
type Options struct {
	Workers int           // 0: GOMAXPROCS
	Idle    time.Duration // after which a silent connection is closed; 0: 2 min
}

// A Server has workers, each with its connections.
type Server struct {
	workers []*worker
	next    atomic.Uint32
}

// Adopt serves a connection from now on.
func (s *Server) Adopt(c Conn) {
	s.workers[s.next.Add(1)%uint32(len(s.workers))].adopt(c)
}

// Close closes all connections, each after the request it is busy with, and
// returns when the workers have ended.
func (s *Server) Close() {
	for _, w := range s.workers {
		w.close()
	}
}

// Len returns how many connections are adopted.
func (s *Server) Len() (n int) {
	for _, w := range s.workers {
		n += int(w.count.Load())
	}
	return n
}
