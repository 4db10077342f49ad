// Package native is weir's own HTTP surface: publish, subscribe, and what is kept.
//
//	GET    /v1/topics/{topic...}   follow one topic or pattern
//	POST   /v1/topics/{topic...}   publish the body
//	HEAD   /v1/topics/{topic...}   what is kept of a topic
//	DELETE /v1/topics/{topic...}   forget it
//	GET    /v1/events?topic=…      follow several; POST with a form body does the same
//	POST   /v1/events              publish many, as JSON lines
//
// [New] makes the handler. Errors are problem documents (RFC 9457) with a stable
// code. It may serve any number of requests at once.
package native

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/weirstream/weir/hub"
)

// Reserved is the prefix of topics that only the server itself publishes to.
const Reserved = "weir/"

// Options configure the handler.
type Options struct {
	MaxBytes int // of one message's data, as in hub.Options; for reading bodies
}

// A Handler serves a hub.
type Handler struct {
	hub      *hub.Hub
	opts     Options
	draining atomic.Bool
}

// New returns the handler of h.
func New(h *hub.Hub, o Options) *Handler { return &Handler{hub: h, opts: o} }

// Drain refuses publishing from now on, because the server is about to stop.
func (h *Handler) Drain() { h.draining.Store(true) }

// Draining reports whether Drain was called.
func (h *Handler) Draining() bool { return h.draining.Load() }

const (
	topicsPath = "/v1/topics/"
	eventsPath = "/v1/events"
)

// ServeHTTP implements [http.Handler]. It does not clean paths: a topic is what
// the path says, or an error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions || r.Header["Origin"] != nil {
		if h.hub.Preflight(w, r) {
			return
		}
	}
	var err error
	switch name, ok := strings.CutPrefix(r.URL.Path, topicsPath); {
	case ok:
		err = h.topic(w, r, name)
	case r.URL.Path == eventsPath:
		err = h.events(w, r)
	default:
		err = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "no such resource: " + quote(r.URL.Path)}
	}
	if err != nil {
		writeProblem(w, err)
	}
}

// topic serves /v1/topics/{topic...}.
func (h *Handler) topic(w http.ResponseWriter, r *http.Request, name string) error {
	switch r.Method {
	case http.MethodGet:
		return h.subscribe(w, r, r.URL.Query(), []string{name})
	case http.MethodPost:
		return h.publish(w, r, name)
	case http.MethodHead:
		return h.describe(w, name)
	case http.MethodDelete:
		return h.forget(w, name)
	}
	return notAllowed(w, r, "GET, POST, HEAD, DELETE, OPTIONS")
}

// events serves /v1/events.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		q := r.URL.Query()
		return h.subscribe(w, r, q, q["topic"])
	case http.MethodPost, "QUERY":
		return h.post(w, r)
	}
	return notAllowed(w, r, "GET, POST, QUERY, OPTIONS")
}

func notAllowed(w http.ResponseWriter, r *http.Request, allow string) error {
	w.Header().Set("Allow", allow)
	return problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: "method " + quote(r.Method) + " is not possible here; possible are " + allow}
}
