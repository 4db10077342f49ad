// Package durable speaks the Durable Streams protocol: a stream is a URL to which
// one appends and that many read, from the beginning, from an offset, or as it grows.
//
//	PUT    {prefix}{name...}   create, also as a fork of another stream
//	POST   {prefix}{name...}   append, or close
//	GET    {prefix}{name...}   read; with live=long-poll or live=sse follow
//	HEAD   {prefix}{name...}   what it is and where it ends
//	DELETE {prefix}{name...}   delete
//
// [New] makes the handler of a hub. A stream is the topic of the same name: an append
// is a message, of a JSON array one for each element, so readers of the topic see
// it, and what is published to the topic is in the stream. Everything else that is
// known of a stream is kept as values of the log, in the same commit as the messages
// that it belongs to, so nothing has to be restored at start but deadlines.
//
// What makes a stream fork-able without copies is that offsets are positions in the
// log: a fork reads the topics of its ancestors up to where it left them, then its
// own.
//
// Several nodes may serve the streams of one log. A change is decided from values of the
// log and stored only if they are still the same then, wherever they were changed; else it
// is decided again. What a request is told rests on all that was answered before it came,
// by any node.
//
// Errors are problem documents (RFC 9457) with a stable code. The handler may serve
// any number of requests at once.
//
// Source: durable-streams/durable-streams, PROTOCOL.md, without sections 6 and 7.
package durable

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/phase"
	"github.com/weirstream/weir/internal/problem"
)

// Options configure the handler.
type Options struct {
	Gate      *gate.Gate    // lets requests in; nil: all
	Prefix    string        // of all streams, like "/v1/streams/"
	Reserved  string        // prefix of topics that are no streams; "" for none
	MaxBytes  int           // in one request, and in a message, as in hub.Options; 0: 1 MiB
	Wait      time.Duration // that a long poll waits for data; 0: 20 s
	Heartbeat time.Duration // silence after which a follower gets a comment; 0: never
	// ProxyBuffering leaves out the header that asks proxies not to collect what
	// followers are sent.
	ProxyBuffering bool
	// BodyTimeout is the time a body has to arrive. 0: no limit.
	BodyTimeout time.Duration
	Rotate      time.Duration // after which a follower has to come back, give or take a tenth; 0: 60 s
	Log         *slog.Logger  // nil: none
}

// A Handler serves the streams of a hub.
type Handler struct {
	hub  *hub.Hub
	opts Options

	locks     locks
	expiry    expiry
	graceEnds atomic.Int64 // until then no TTL ends; nanoseconds since 1970

	forget           func() // ends noticed
	writing, reading phase.Phase
	sweeper          sync.WaitGroup
}

// New returns the handler of h, whose log is an [eventlog.Conditional].
func New(h *hub.Hub, o Options) *Handler {
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.Wait = cmp.Or(o.Wait, 20*time.Second)
	o.Rotate = cmp.Or(o.Rotate, time.Minute)
	if o.Gate == nil {
		o.Gate = gate.Open()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Handler{hub: h, opts: o, writing: phase.New(), reading: phase.New()}
	d.expiry = expiry{shared: h.Shared(), byName: make(map[string]*deadline), moved: make(map[string]struct{})}
	d.forget = h.Log().(eventlog.Conditional).FollowValues(d.noticed)
	d.loadDeadlines()
	return d
}

// noticed is told what is stored, here or by another node, with the log locked.
func (h *Handler) noticed(puts []eventlog.Put) {
	for _, p := range puts {
		if name, ok := strings.CutPrefix(p.Key, stateKey); ok {
			h.hub.Wake(name)
		} else if name, ok := strings.CutPrefix(p.Key, deadlineKey); ok {
			if id, at, ok := parseDeadline(p.Value); ok {
				h.expiry.set(name, id, at)
			} else {
				h.expiry.drop(name, "")
			}
		}
	}
}

// Start starts a goroutine that deletes streams when their time is over, also those
// that nobody asks for. Close ends it.
func (h *Handler) Start() { h.sweeper.Go(h.sweep) }

// Drain refuses changes from now on, because the server is about to stop.
func (h *Handler) Drain() { h.writing.End() }

// EndReads lets followers and long polls end with what there is; later ones do not
// wait.
func (h *Handler) EndReads() { h.reading.End() }

// Close ends what the handler has started, and stores when streams expire. It does
// not close the hub. Requests fail from then on.
func (h *Handler) Close() {
	h.Drain()
	h.EndReads()
	h.sweeper.Wait()
	h.forget()
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}

// ServeHTTP implements [http.Handler]. It does not clean paths: a stream is what the
// path says, or an error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if h.preflight(w, r) {
		return
	}
	v, err := h.opts.Gate.Admit(w, r)
	if err == nil {
		err = h.route(w, r, v)
	}
	if err != nil {
		problem.StopReading(w, r)
		writeProblem(w, err)
	}
}

// route finds the stream and what to do with it.
func (h *Handler) route(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	name, err := h.name(r.URL.Path)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.look(w, r, v, name)
	case http.MethodPost, http.MethodPut, http.MethodDelete:
		return h.change(w, r, v, name)
	}
	w.Header().Set("Allow", strings.Join(methods, ", ")+", OPTIONS")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return problem.Document{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: "method " + problem.Quote(r.Method) + " is not possible here; possible are " + w.Header().Get("Allow")}
}

// look serves the methods that read a stream.
func (h *Handler) look(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	if err := v.MaySubscribe(name); err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return h.describe(w, r, name)
	}
	return h.get(w, r, v, name)
}

// change serves the methods that change a stream.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	if h.writing.Over() {
		return errStopping
	}
	if err := v.MayPublish(name); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return h.put(w, r, v, name)
	case http.MethodPost:
		return h.post(w, r, v, name)
	}
	if err := v.Publish(1); err != nil {
		return err
	}
	return h.delete(w, r, name)
}
