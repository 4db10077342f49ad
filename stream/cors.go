package stream

import (
	"net/http"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/origin"
)

// Preflight sets the CORS headers that the options ask for and answers a
// preflight request, in which case it returns true. methods are those of the
// resource, without OPTIONS; if none is given, GET, HEAD, POST and QUERY.
//
// Source: WHATWG Fetch, "CORS protocol".
func (op *Opener) Preflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	allowed := op.allow(w.Header(), r)
	if r.Method != http.MethodOptions {
		return false
	}
	if len(methods) == 0 {
		methods = streamMethods
	}
	h, list := w.Header(), strings.Join(methods, ", ")
	if allowed && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", list)
		h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, Tracestate")
		h.Set("Access-Control-Max-Age", "7200") // seconds; no browser keeps it for longer than a day, Chromium for no more than this
	}
	h.Set("Allow", list+", OPTIONS")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allow sets the headers that every answer has, and reports whether the page that
// asks may read it.
func (op *Opener) allow(h http.Header, r *http.Request) bool {
	if len(op.opts.AllowOrigins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	if r.Method == http.MethodOptions {
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	}
	allowed := op.opts.allowOrigin(r.Header.Get("Origin"))
	if allowed == "" {
		return false
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if op.opts.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// allowOrigin returns what Access-Control-Allow-Origin should say, or "". With
// credentials that is never "*": validate refuses it, and here it matches nothing.
func (o *Options) allowOrigin(asked string) string {
	switch {
	case asked == "":
		return ""
	case !o.AllowCredentials && slices.Contains(o.AllowOrigins, origin.Any):
		return origin.Any
	case origin.Match(o.AllowOrigins, asked):
		return asked
	}
	return ""
}
