package hub

import (
	"errors"
	"net/http"
	"net/url"
)

// Handler returns a handler of Server-Sent Events. A request names topics and
// patterns in query parameters: ?topic=orders/*&topic=news. It starts after the
// ID in Last-Event-ID or last_event_id; else where since ("start", "now", "10m",
// RFC 3339) or last (a number) says; else now.
func (h *Hub) Handler() http.Handler {
	return h.handler(func(r *http.Request) Subscription { return Subscription{Topics: r.URL.Query()["topic"]} })
}

// HandlerFor is like Handler for a subscription that the program chooses. The
// request still says where to start, unless sub.From is set.
func (h *Hub) HandlerFor(sub Subscription) http.Handler {
	return h.handler(func(*http.Request) Subscription { return sub })
}

func (h *Hub) handler(choose func(*http.Request) Subscription) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Preflight(w, r) {
			return
		}
		sub := choose(r)
		var err error
		if sub.From == FromNow() {
			sub.From, err = RequestStart(r.Header, r.URL.Query())
		}
		if err == nil {
			err = h.Serve(w, r, sub)
		}
		switch {
		case errors.Is(err, ErrClosed):
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

// Preflight sets CORS headers as Options.Stream says and answers a preflight
// request, in which case it returns true. methods are those of the resource,
// without OPTIONS; if none is given, GET, HEAD, POST and QUERY.
func (h *Hub) Preflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return h.openers[Events].Preflight(w, r, methods...)
}

// resumeParams are the query parameters for clients that cannot set Last-Event-ID.
var resumeParams = [...]string{"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID"}

// RequestStart reads from a request's header and parameters where it wants to
// start, as Handler describes.
func RequestStart(header http.Header, q url.Values) (Start, error) {
	if id := header.Get("Last-Event-ID"); id != "" {
		return FromID(id), nil
	}
	for _, name := range resumeParams {
		if id := q.Get(name); id != "" {
			return FromID(id), nil
		}
	}
	if q.Has("since") {
		return ParseSince(q.Get("since"))
	}
	if q.Has("last") {
		return ParseLast(q.Get("last"))
	}
	return FromNow(), nil
}
