// Package dashboard serves the home page of a weir server and the demos on it.
//
// The page is the plain files of the folder web: no build step, nothing from other
// hosts, no inline script or style. [Handler] serves them, with the demos, below
// the root of a server. Everything else the page shows comes from the server's own
// interface: it subscribes and publishes like any client.
//
// A handler may serve any number of requests at once.
package dashboard

import (
	"net/http"

	"github.com/weirstream/weir/stream"
)

// Options configure the page. The zero value is ready.
type Options struct {
	// Stream is for the streams of the demos. [Handler] panics if it is invalid.
	Stream stream.Options
}

// policy lets the page load only files of this server, and connect only to it. No
// form of the page is sent by the browser itself, but one may be.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// unused are the abilities of browsers that the page gives up, for itself and for
// whatever might get into it. It does copy to the clipboard.
const unused = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), " +
	"microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()"

// Handler returns a handler for
//
//	/                       the page
//	/assets/{hash}/{name}   its files, which never change under one hash
//	/demo/time              server-sent events: the time and a counter, each second
//	/demo/chunks            a response in ten pieces, one each two seconds
//
// It answers other paths with 404 and a problem document, so it can be the last
// resort of a server.
func Handler(o Options) http.Handler {
	page := newSite(files())
	mux := http.NewServeMux()
	mux.Handle("/{$}", readOnly(http.HandlerFunc(page.serveIndex)))
	mux.Handle("/favicon.ico", readOnly(http.HandlerFunc(page.serveIcon)))
	mux.Handle("/assets/{hash}/{name}", readOnly(http.HandlerFunc(page.serveAsset)))
	mux.Handle("/demo/time", readOnly(timeDemo(o.Stream)))
	mux.Handle("/demo/chunks", readOnly(chunksDemo(o.Stream)))
	mux.HandleFunc("/", notFound)
	return withHeaders(mux)
}

// withHeaders sets what holds for every answer, also for errors and demos.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", unused)
		next.ServeHTTP(w, r)
	})
}
