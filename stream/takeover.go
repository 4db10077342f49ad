package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// takeOver takes the connection from net/http and sends the response head and
// the first bytes. It returns false, having done nothing, if that is impossible.
func (c *Conn) takeOver(w http.ResponseWriter, r *http.Request, first []byte) (bool, error) {
	keep := c.server != nil && !r.Close && r.ProtoMinor == 1 && (r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0)
	if r.ProtoAtLeast(1, 1) {
		c.framing = chunked
	}
	header := w.Header()
	nc, rw, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		c.framing = plain
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		c.leftover, _ = rw.Reader.Peek(n)
		c.leftover = bytes.Clone(c.leftover)
	}
	if err := c.sendHead(nc, header, first, keep); err != nil {
		nc.Close()
		return true, fmt.Errorf("%w: %v", ErrClosed, err)
	}
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = tcp.AddrPort()
	}
	fd := -1
	if loop.Supported {
		fd, err = loop.Detach(nc, c.opener.opts.UserTimeout, c.opener.opts.UserTimeout)
	}
	if fd < 0 || err != nil {
		c.pumpConn(nc)
		return true, nil
	}
	c.start(fd, nil, keep)
	c.io.Add()
	return true, nil
}

// sendHead writes the response head and the first bytes in one write.
func (c *Conn) sendHead(nc net.Conn, header http.Header, first []byte, keep bool) error {
	if c.framing == chunked {
		header.Set("Transfer-Encoding", "chunked")
	}
	if !keep {
		header.Set("Connection", "close")
	}
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(c.frame(first))
	_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := nc.Write(b.Bytes())
	_ = nc.SetDeadline(time.Time{})
	return err
}

// pumpConn serves a taken-over connection that has no descriptor: one goroutine
// writes, one waits for the client to go; both end with the connection.
func (c *Conn) pumpConn(nc net.Conn) {
	timeout := c.opener.opts.UserTimeout
	c.startPipe(context.Background(), func(p []byte) error {
		if timeout > 0 {
			_ = nc.SetWriteDeadline(time.Now().Add(timeout))
		}
		_, err := nc.Write(p)
		return err
	})
	pump := c.pump
	c.pump = nil // Hold need not wait
	go func() {
		defer nc.Close()
		pump()
	}()
	go func() {
		var scrap [512]byte
		for {
			if _, err := nc.Read(scrap[:]); err != nil {
				c.io.Close(loop.ClientGone)
				return
			}
		}
	}()
}
