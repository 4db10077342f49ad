package durable

import "net/http"

const (
	allowedHeaders = "Accept, Authorization, Cache-Control, Content-Type, If-None-Match, " +
		"Stream-Closed, Stream-Expires-At, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Stream-Forked-From, Stream-Seq, Stream-TTL, " +
		"Producer-Epoch, Producer-Id, Producer-Seq"
	exposedHeaders = "ETag, Location, Retry-After, " +
		"Stream-Closed, Stream-Cursor, Stream-Expires-At, Stream-Next-Offset, Stream-SSE-Data-Encoding, Stream-TTL, Stream-Up-To-Date, " +
		"Producer-Epoch, Producer-Expected-Seq, Producer-Received-Seq, Producer-Seq, " + trimmedHeader
)

// preflight sets CORS headers and answers a preflight request, in which case it
// returns true.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h.hub.Preflight(preflightWriter{w}, r, methods...) {
		return true
	}
	resource := "same-origin"
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		resource = "cross-origin"
		w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
	}
	w.Header().Set("Cross-Origin-Resource-Policy", resource)
	return false
}

// A preflightWriter sends the answer to a preflight with the headers that streams
// know.
type preflightWriter struct{ http.ResponseWriter }

func (w preflightWriter) WriteHeader(status int) {
	if w.Header().Get("Access-Control-Allow-Headers") != "" {
		w.Header().Set("Access-Control-Allow-Headers", allowedHeaders)
	}
	w.ResponseWriter.WriteHeader(status)
}
