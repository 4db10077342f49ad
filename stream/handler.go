package stream

import (
	"net/http"
	"slices"

	"github.com/weirstream/weir/internal/media"
)

// SSE returns a handler that opens a Server-Sent Events stream for each request
// and calls fn with it. fn may return, and the stream lives on; or it may loop
// and write until r.Context() ends. For options use [Options.SSE].
func SSE(fn func(c *Conn, r *http.Request)) http.Handler { return Options{}.SSE(fn) }

// Chunked returns a handler that opens a response of the given type in pieces:
// each [Conn.Write] reaches the client at once, [Conn.End] ends the response.
// text types without a character set are sent as UTF-8; text/html begins with a
// comment of 1 KiB, because browsers wait for so much before they paint.
func Chunked(contentType string, fn func(c *Conn, r *http.Request)) http.Handler {
	return Options{}.Chunked(contentType, fn)
}

// SSE is like the function SSE, with options. It panics if o is invalid.
func (o Options) SSE(fn func(c *Conn, r *http.Request)) http.Handler {
	return &handler{opener: mustOpener(o, EventStream), fn: fn}
}

// Chunked is like the function Chunked, with options. It panics if o is invalid.
func (o Options) Chunked(contentType string, fn func(c *Conn, r *http.Request)) http.Handler {
	return &handler{opener: mustOpener(o, pieces(contentType)), fn: fn}
}

func mustOpener(o Options, f Format) *Opener {
	op, err := NewOpener(o, f)
	if err != nil {
		panic(err)
	}
	return op
}

type handler struct {
	opener *Opener
	fn     func(c *Conn, r *http.Request)
}

var streamMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, "QUERY"}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.opener.Preflight(w, r) {
		return
	}
	accept := r.Header["Accept"]
	o, offer := &h.opener.opts, h.opener.mediaType
	if o.Otherwise != nil && !media.Names(accept, offer) {
		o.Otherwise.ServeHTTP(w, r)
		return
	}
	if !slices.Contains(streamMethods, r.Method) {
		w.Header().Set("Allow", "GET, HEAD, POST, QUERY, OPTIONS")
		http.Error(w, "method "+r.Method+" not allowed", http.StatusMethodNotAllowed)
		return
	}
	if _, ok := media.Best(accept, offer); !ok {
		http.Error(w, "this resource is "+offer+", which the Accept header excludes", http.StatusNotAcceptable)
		return
	}
	h.opener.Serve(w, r, nil, h.fn)
}
