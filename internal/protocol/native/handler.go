// Package native is weir's own HTTP surface: publish, subscribe, and what is kept.
//
//	GET    /v1/topics/{topic...}   follow one topic or pattern
//	POST   /v1/topics/{topic...}   publish the body
//	HEAD   /v1/topics/{topic...}   what is kept of a topic or pattern
//	DELETE /v1/topics/{topic...}   forget it
//	GET    /v1/events?topic=…      follow several; QUERY or POST with a form body do the same
//	HEAD   /v1/events?topic=…      what is kept of several
//	POST   /v1/events              publish many, as JSON lines
//	POST   /v1/tickets             a ticket for one request of a page
//	GET    /v1/connections?user=…  the streams that are open
//	DELETE /v1/connections?user=…  end them
//	GET    /v1/presence/{topic...} who reads a topic
//	GET    /v1/presence?topic=…    how many read each of several
//
// [New] makes the handler. Errors are problem documents (RFC 9457) with a stable
// code. It may serve any number of requests at once.
//
// A page of another origin can make a browser send a POST without asking first,
// also to a server on loopback. Methods that change something are therefore
// refused to pages of other origins, unless the options of the hub's streams allow
// the origin. A page that reaches the server by a host name of its own (DNS
// rebinding) is of the same origin and is not held off.
package native

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/phase"
	"github.com/weirstream/weir/internal/presence"
	"github.com/weirstream/weir/internal/problem"
)

// Reserved is the prefix of topics that only the server itself publishes to.
const Reserved = gate.Reserved

// Options configure the handler.
type Options struct {
	Gate     *gate.Gate         // lets requests in; nil: all
	MaxBytes int                // of one message's data, as in hub.Options; 0: 1 MiB
	Presence *presence.Presence // nil: nobody knows who reads what
	// Adopt takes connections over from publishers that send one message after the
	// other. The server must use [ConnContext], and Drain must be called before it
	// stops.
	Adopt bool
	// Idle is the silence after which such a connection is closed. 0: 2 min.
	Idle time.Duration
	// BodyTimeout is the time a body, or a line of one, has to arrive. 0: no limit.
	BodyTimeout time.Duration
	// Served is called for each request that was answered without net/http. It may be nil.
	Served func()
}

// A Handler serves a hub.
type Handler struct {
	hub  *hub.Hub
	opts Options

	intake *intake.Server // nil: no connections are adopted
	vary   string         // of the answers that net/http does not send, or ""
	stamp  atomic.Pointer[stamp]

	publishing, polling phase.Phase
}

// New returns the handler of h.
func New(h *hub.Hub, o Options) *Handler {
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	if o.Gate == nil {
		o.Gate = gate.Open()
	}
	if o.Served == nil {
		o.Served = func() {}
	}
	handler := &Handler{hub: h, opts: o, vary: vary(h), publishing: phase.New(), polling: phase.New()}
	if o.Adopt && intake.Supported {
		handler.intake = intake.New(handler, intake.Options{Idle: o.Idle})
	}
	return handler
}

// Drain refuses publishing from now on, because the server is about to stop.
// Requests that publish line by line are answered, adopted connections closed.
func (h *Handler) Drain() {
	h.publishing.End()
	if h.intake != nil {
		h.intake.Close()
	}
}

// Draining reports whether Drain was called.
func (h *Handler) Draining() bool { return h.publishing.Over() }

// EndPolls answers the long polls that wait, with what there is; later ones do
// not wait.
func (h *Handler) EndPolls() { h.polling.End() }

const (
	topicsPath = "/v1/topics/"
	eventsPath = "/v1/events"

	ticketsPath     = "/v1/tickets"
	connectionsPath = "/v1/connections"
	presencePath    = "/v1/presence"
	roomPath        = "/v1/presence/"
)

// methods are those of the resource at path, without OPTIONS.
func methods(path string) []string {
	switch {
	case strings.HasPrefix(path, topicsPath):
		return topicMethods
	case path == ticketsPath:
		return ticketsMethods
	case path == connectionsPath:
		return connectionsMethods
	case isPresence(path):
		return presenceMethods
	}
	return eventsMethods
}

var (
	topicMethods  = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete}
	eventsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, "QUERY"}

	ticketsMethods     = []string{http.MethodPost}
	connectionsMethods = []string{http.MethodGet, http.MethodDelete}
	presenceMethods    = []string{http.MethodGet}
)

func isPresence(path string) bool {
	return path == presencePath || strings.HasPrefix(path, roomPath)
}

// exposedHeaders are those of answers that pages of other origins may read.
const exposedHeaders = "Idempotency-Replayed, Location, Retry-After, Weir-Last-Event-Id, Weir-Messages, Weir-Bytes, Weir-Oldest-Id, Weir-Newest-Id"

// ServeHTTP implements [http.Handler]. It does not clean paths: a topic is what
// the path says, or an error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if (preflight || r.Method != http.MethodOptions) && h.hub.Preflight(w, r, methods(r.URL.Path)...) {
		return
	}
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
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

// route finds the resource.
func (h *Handler) route(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	name, ok := strings.CutPrefix(r.URL.Path, topicsPath)
	switch {
	case ok:
		return h.topic(w, r, v, name)
	case r.URL.Path == eventsPath:
		return h.events(w, r, v)
	case r.URL.Path == ticketsPath:
		return h.tickets(w, r, v)
	case r.URL.Path == connectionsPath:
		return h.connections(w, r, v)
	case isPresence(r.URL.Path):
		return h.presence(w, r, v)
	}
	return problem.Document{Status: http.StatusNotFound, Code: "not_found", Detail: "no such resource: " + problem.Quote(r.URL.Path)}
}

// topic serves /v1/topics/{topic...}.
func (h *Handler) topic(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.subscribe(w, r, v, q, readParams, []string{name})
	case http.MethodPost:
		return h.publish(w, r, v, q, name)
	case http.MethodDelete:
		return h.forget(w, v, q, name)
	}
	return otherMethod(w, r)
}

// events serves /v1/events.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return h.subscribe(w, r, v, q, selectParams, q["topic"])
	case http.MethodPost, "QUERY":
		return h.post(w, r, v, q)
	}
	return otherMethod(w, r)
}

// otherMethod answers OPTIONS, and refuses other methods.
func otherMethod(w http.ResponseWriter, r *http.Request) error {
	allow := strings.Join(methods(r.URL.Path), ", ") + ", OPTIONS"
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return problem.Document{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: "method " + problem.Quote(r.Method) + " is not possible here; possible are " + allow}
}
