package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Types of HTTP/2 frames: RFC 9113, section 6.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8
	frameContinuation = 9
)

// Settings of HTTP/2: RFC 9113, section 6.5.2.
const (
	maxConcurrentStreams = 3
	initialWindowSize    = 4
)

// A frame of HTTP/2. payload is valid until the next is read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// A wire is an HTTP/2 connection of a client that keeps to no rules.
type wire struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader

	mu  sync.Mutex
	out []byte // guarded by mu
}

// raw opens a connection and says that it will be HTTP/2, with the settings in pairs.
func (s *site) raw(t *testing.T, settings ...uint32) *wire {
	t.Helper()
	nc := s.open(t, "h2")
	w := &wire{Conn: nc, t: t, in: bufio.NewReader(nc)}
	if _, err := io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var payload []byte
	for i := 0; i < len(settings); i += 2 {
		payload = binary.BigEndian.AppendUint16(payload, uint16(settings[i]))
		payload = binary.BigEndian.AppendUint32(payload, settings[i+1])
	}
	w.put(frameSettings, 0, 0, payload)
	w.flush()
	return w
}

// open opens a connection that is closed with the test.
func (s *site) open(t *testing.T, protocol string) net.Conn {
	t.Helper()
	nc, err := s.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if s.tls {
		nc = tls.Client(nc, &tls.Config{RootCAs: s.roots, ServerName: "localhost", NextProtos: []string{protocol}})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := nc.(*tls.Conn).HandshakeContext(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	return nc
}

// put adds a frame to what flush sends.
func (w *wire) put(kind, flags byte, stream uint32, payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	w.out = binary.BigEndian.AppendUint32(w.out, stream)
	w.out = append(w.out, payload...)
}

// flush sends what was put, and returns an error if the server has hung up.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.Write(w.out)
	w.out = w.out[:0]
	return err
}

// get asks for a path, of up to 127 bytes, on a stream.
func (w *wire) get(stream uint32, path string) {
	const endStream, endHeaders = 1, 4
	block := []byte{0x82, 0x86, 0x01, 9} // GET, http, and an authority: RFC 7541, appendix A
	block = append(append(block, "weir.test"...), 0x04, byte(len(path)))
	w.put(frameHeaders, endStream|endHeaders, stream, append(block, path...))
}

func (w *wire) reset(stream uint32) {
	const cancel = 8
	w.put(frameReset, 0, stream, []byte{0, 0, 0, cancel})
}

// grant lets the server send more.
func (w *wire) grant(stream, bytes uint32) {
	w.put(frameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, bytes))
}

// next reads a frame.
func (w *wire) next() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return frame{}, err
	}
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(w.in, payload)
	return frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]), payload: payload}, err
}

// until reads up to a frame of a kind.
func (w *wire) until(kind byte) frame {
	w.t.Helper()
	for {
		f, err := w.next()
		if err != nil {
			w.t.Fatalf("no frame of type %d: %v", kind, err)
		}
		if f.kind == kind {
			return f
		}
	}
}
