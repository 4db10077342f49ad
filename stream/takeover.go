package stream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// takeOver takes the connection from net/http and sends the response head and
// the first bytes. It returns false, having done nothing, if that is impossible.
func (c *Conn) takeOver(w http.ResponseWriter, r *http.Request, first []byte) (bool, error) {
	keep := c.server != nil && !r.Close && r.TLS == nil && r.ProtoMinor == 1 && (r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0)
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
		unread, _ := rw.Reader.Peek(n)
		c.rare = &rare{unread: bytes.Clone(unread)}
	}
	if err := c.sendHead(nc, header, first, keep); err != nil {
		nc.Close()
		return true, fmt.Errorf("%w: %v", ErrClosed, err)
	}
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.setRemote(tcp.AddrPort())
	}
	framed := &c.opener.framed
	if nc.LocalAddr().Network() == "unix" {
		framed = &c.opener.unwatched
	}
	if fd, err := c.detach(nc); err == nil {
		c.startWith(framed, fd, nil, keep)
	} else {
		c.deliverTo(nc)
	}
	return true, nil
}

// detach takes the descriptor out of a connection that is nothing but one.
func (c *Conn) detach(nc net.Conn) (fd int, err error) {
	if _, encrypted := nc.(*tls.Conn); encrypted || !loop.Supported {
		return -1, http.ErrNotSupported
	}
	return loop.Detach(nc, c.opener.opts.UserTimeout, c.opener.opts.UserTimeout)
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

// deliverTo serves a taken-over connection that cannot be a descriptor of the
// loop, such as TLS: a goroutine writes while there is something to write.
func (c *Conn) deliverTo(nc net.Conn) {
	timeout := c.opener.opts.UserTimeout
	write := func(p []byte) error {
		if timeout > 0 {
			_ = nc.SetWriteDeadline(time.Now().Add(timeout))
		}
		_, err := nc.Write(p)
		return err
	}
	c.start(-1, loop.NewCourier(&c.io, write, func() { nc.Close() }), false)
	if fd := descriptor(nc); fd > 0 {
		c.io.Guard(fd)
	} else {
		go c.awaitEnd(nc) // ends when nc is closed
	}
}

// descriptor returns the descriptor below a connection, or -1.
func descriptor(nc net.Conn) int {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	fd := -1
	if sc, ok := nc.(syscall.Conn); ok && loop.Supported {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(n uintptr) { fd = int(n) })
		}
	}
	return fd
}

// awaitEnd reads until the client is gone.
func (c *Conn) awaitEnd(nc net.Conn) {
	var scrap [512]byte
	for {
		if _, err := nc.Read(scrap[:]); err != nil {
			c.io.Close(loop.ClientGone)
			return
		}
	}
}
