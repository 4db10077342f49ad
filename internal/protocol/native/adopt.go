package native

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/handover"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/proxy"
)

// A publisher that sends one message after the other on one connection is served
// by package intake from its third request on, which costs less than half of what
// net/http does. What it may do is the same: anything but a plain publish goes
// back to net/http.

// adoptAfter is how many requests net/http serves on a connection first: most
// clients send only one.
const adoptAfter = 2

type servedKey struct{}

// ConnContext is for [http.Server.ConnContext]; without it no connection is adopted.
func ConnContext(ctx context.Context, nc net.Conn) context.Context {
	if _, back := nc.(*handover.Conn); back { // it was given back once: let it be
		return ctx
	}
	return context.WithValue(ctx, servedKey{}, new(atomic.Int32))
}

// answer sends the answer to a publish, and has the connection adopted if that
// seems worth it.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, topic string, receipt hub.Receipt) {
	if h.intake != nil && h.worthAdopting(r) && h.adopt(w, r, topic, receipt) {
		return
	}
	w.Header().Set("Location", location(topic))
	if receipt.Duplicate {
		w.Header().Set(replayedHeader, "true")
		writeJSON(w, http.StatusOK, created{receipt.ID, true})
		return
	}
	writeJSON(w, http.StatusCreated, created{receipt.ID, false})
}

func location(topic string) string { return (&url.URL{Path: topicsPath + topic}).EscapedPath() }

// worthAdopting leaves browsers to net/http: their requests are never plain, and
// their answers need CORS headers.
func (h *Handler) worthAdopting(r *http.Request) bool {
	served, ok := r.Context().Value(servedKey{}).(*atomic.Int32)
	return ok && served.Add(1) > adoptAfter && r.ProtoMajor == 1 && r.ProtoMinor == 1 && !r.Close && r.TLS == nil &&
		r.Header.Get("Origin") == "" && !h.opts.Gate.PerPublisher()
}

// adopt answers and takes the connection over. It returns false, having done
// nothing, if it cannot be taken over.
func (h *Handler) adopt(w http.ResponseWriter, r *http.Request, topic string, receipt hub.Receipt) bool {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return false
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	unread, _ := rw.Reader.Peek(rw.Reader.Buffered())
	unread = bytes.Clone(unread)
	_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write(h.appendCreated(nil, topic, receipt)); err != nil {
		nc.Close()
		return true
	}
	fd, err := loop.Detach(nc, time.Minute, time.Minute)
	if err != nil {
		_ = nc.SetWriteDeadline(time.Time{})
		giveBack(srv, nc, unread)
		return true
	}
	client, _ := nc.RemoteAddr().(*net.TCPAddr)
	h.intake.Adopt(intake.Conn{FD: fd, Unread: unread, GiveBack: func(fd int, unread []byte) {
		if nc, err := loop.Attach(fd); err == nil {
			giveBack(srv, proxy.WithClient(nc, client.AddrPort()), unread)
		}
	}})
	return true
}

// Adopted returns how many connections are served without net/http.
func (h *Handler) Adopted() int {
	if h.intake == nil {
		return 0
	}
	return h.intake.Len()
}

// giveBack gives a connection back to net/http after a POST. Some clients end a
// body with more line ends than they said. Where net/http has served the POST, it
// skips up to 4 bytes of them, but to srv this is a new connection.
func giveBack(srv *http.Server, nc net.Conn, unread []byte) {
	for n := 0; n < 4 && len(unread) > 0 && (unread[0] == '\r' || unread[0] == '\n'); n++ {
		unread = unread[1:]
	}
	handover.Return(srv, nc, unread)
}

// NewBatch implements [intake.Handler].
func (h *Handler) NewBatch() intake.Batch { return &batch{h: h} }

// A batch is messages that are published together. Whatever would be an error is
// left to net/http, which finds the same error and words it.
type batch struct {
	h        *Handler
	messages []hub.Message
	topics   []string // the log may change those of the messages
	receipts []hub.Receipt
}

// Add implements [intake.Batch].
func (b *batch) Add(r *intake.Request) bool {
	name, ok := bytes.CutPrefix(r.Path, []byte(topicsPath))
	if !ok || string(r.Method) != http.MethodPost || len(r.Body) > b.h.opts.MaxBytes {
		return false
	}
	topic := string(name)
	q, err := url.ParseQuery(string(r.Query))
	if err != nil || !b.admits(topic) {
		return false
	}
	var keys []string
	if r.IdempotencyKey != nil {
		keys = []string{string(r.IdempotencyKey)}
	}
	m, err := message(q, keys, topic)
	m.Data = bytes.Clone(r.Body)
	if err != nil || b.h.hub.Check(m) != nil {
		return false
	}
	b.messages, b.topics = append(b.messages, m), append(b.topics, topic)
	return true
}

// admits reports whether anybody may publish to a topic now. The rules may have changed
// since the connection was adopted, and memory be short.
func (b *batch) admits(topic string) bool {
	g := b.h.opts.Gate
	return !g.PerPublisher() && b.h.mayPublish(g.Anybody(), topic) == nil && g.Anybody().Publish(1) == nil
}

// Commit implements [intake.Batch].
func (b *batch) Commit() (err error) {
	if b.h.Draining() {
		return errStopping
	}
	b.receipts, err = b.h.hub.Commit(context.Background(), nil, b.messages...)
	return err
}

// Answer implements [intake.Batch].
func (b *batch) Answer(dst []byte, i int) []byte {
	b.h.opts.Served()
	return b.h.appendCreated(dst, b.topics[i], b.receipts[i])
}

// Reset implements [intake.Batch].
func (b *batch) Reset() {
	clear(b.messages)
	clear(b.topics)
	b.messages, b.topics, b.receipts = b.messages[:0], b.topics[:0], nil
}

// created is the answer to a publish.
type created struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate,omitempty"` // it had been published before
}

// vary returns the Vary header of answers to clients that send no Origin.
func vary(h *hub.Hub) string {
	w := headerOnly{header: make(http.Header)}
	h.Preflight(w, &http.Request{Method: http.MethodPost})
	return strings.Join(w.header["Vary"], ", ")
}

// A headerOnly is a response of which only the header is wanted.
type headerOnly struct {
	http.ResponseWriter
	header http.Header
}

func (w headerOnly) Header() http.Header { return w.header }

// appendCreated appends the response to a publish, the same that net/http sends.
func (h *Handler) appendCreated(dst []byte, topic string, receipt hub.Receipt) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // as in encode
	if err := enc.Encode(created{receipt.ID, receipt.Duplicate}); err != nil {
		panic("native: " + err.Error())
	}
	if receipt.Duplicate {
		dst = append(dst, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json\r\n"+replayedHeader+": true\r\nLocation: "...)
	} else {
		dst = append(dst, "HTTP/1.1 201 Created\r\nCache-Control: no-store\r\nContent-Type: application/json\r\nLocation: "...)
	}
	dst = append(dst, location(topic)...)
	if h.vary != "" {
		dst = append(dst, "\r\nVary: "...)
		dst = append(dst, h.vary...)
	}
	dst = append(dst, "\r\nX-Content-Type-Options: nosniff\r\nDate: "...)
	dst = append(dst, h.date()...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(body.Len()), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body.Bytes()...)
}

// A stamp is a Date header and the second it holds for.
type stamp struct {
	second int64
	text   string
}

// date returns the time for a Date header, formatted once a second.
func (h *Handler) date() string {
	now := time.Now()
	if s := h.stamp.Load(); s != nil && s.second == now.Unix() {
		return s.text
	}
	s := &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
	h.stamp.Store(s)
	return s.text
}
