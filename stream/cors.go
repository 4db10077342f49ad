package stream

import (
	"net/http"
	"slices"
	"strings"
)

// Preflight sets the CORS headers that the options ask for and answers a
// preflight request, in which case it returns true. methods are those of the
// resource, without OPTIONS; if none is given, GET, HEAD, POST and QUERY.
//
// Source: WHATWG Fetch, "CORS protocol".
func (op *Opener) Preflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	h, origin := w.Header(), r.Header.Get("Origin")
	allowed := op.opts.allowOrigin(origin)
	if len(op.opts.AllowOrigins) > 0 {
		h.Add("Vary", "Origin")
	}
	if allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		if op.opts.AllowCredentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if len(methods) == 0 {
		methods = streamMethods
	}
	list := strings.Join(methods, ", ")
	if allowed != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", list)
		h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "7200")
	}
	h.Set("Allow", list+", OPTIONS")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allowOrigin returns what Access-Control-Allow-Origin should say, or "".
func (o *Options) allowOrigin(origin string) string {
	switch {
	case origin == "":
		return ""
	case slices.Contains(o.AllowOrigins, origin):
		return origin
	case slices.Contains(o.AllowOrigins, "*"):
		return "*"
	}
	return ""
}
