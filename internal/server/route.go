package server

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
)

// route returns the handler of a listener: "all", "api" or "page". It does not
// use http.ServeMux for /v1, which would redirect paths that it wants cleaned.
func (s *Server) route(kind string) http.Handler {
	rest := http.NewServeMux()
	rest.HandleFunc("/healthz", healthy)
	rest.HandleFunc("/readyz", s.ready)
	rest.HandleFunc("/version", version)
	if s.page != nil && kind != "api" {
		rest.Handle("/", s.page)
	} else {
		rest.Handle("/", s.native) // answers with a problem document
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			s.native.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok\n")
}

// ready is false while the server drains.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.native.Draining() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	healthy(w, r)
}

func version(w http.ResponseWriter, _ *http.Request) {
	v := map[string]string{"version": "unknown", "go": "", "commit": ""}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["version"], v["go"] = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v["commit"] = s.Value
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
