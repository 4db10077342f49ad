package intake

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// serveBytes returns which requests a server of net/http serves on a connection
// on which p arrives and then the end.
func serveBytes(p []byte) (served []seen) {
	closed := make(chan struct{})
	srv := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			served = append(served, seen{r.Method, r.RequestURI, r.Header.Get("Idempotency-Key"), string(body)})
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(closed)
			}
		},
	}
	_ = srv.Serve(&byteListener{conn: &byteConn{in: bytes.NewReader(p)}})
	<-closed
	return served
}

// A byteListener accepts one connection.
type byteListener struct{ conn net.Conn }

func (l *byteListener) Accept() (net.Conn, error) {
	if nc := l.conn; nc != nil {
		l.conn = nil
		return nc, nil
	}
	return nil, net.ErrClosed
}
func (l *byteListener) Close() error   { return nil }
func (l *byteListener) Addr() net.Addr { return nowhere{} }

// A byteConn is a connection on which bytes arrive, and the answers get lost.
type byteConn struct {
	mu sync.Mutex // net/http also reads while a handler runs
	in *bytes.Reader
}

func (c *byteConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.Read(p)
}
func (c *byteConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *byteConn) Close() error                     { return nil }
func (c *byteConn) LocalAddr() net.Addr              { return nowhere{} }
func (c *byteConn) RemoteAddr() net.Addr             { return nowhere{} }
func (c *byteConn) SetDeadline(time.Time) error      { return nil }
func (c *byteConn) SetReadDeadline(time.Time) error  { return nil }
func (c *byteConn) SetWriteDeadline(time.Time) error { return nil }

type nowhere struct{}

func (nowhere) Network() string { return "bytes" }
func (nowhere) String() string  { return "nowhere" }
