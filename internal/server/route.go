package server

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/config"
)

// route returns the handler of a listener: "all", "api", "page" or "admin". It does
// not use http.ServeMux for /v1, which would redirect paths that it wants cleaned.
func (s *Server) route(kind string) http.Handler {
	rest := http.NewServeMux()
	rest.HandleFunc("/healthz", healthy)
	rest.HandleFunc("/readyz", s.ready)
	rest.HandleFunc("/version", version)
	if s.servesMetrics(kind) {
		rest.HandleFunc("GET /metrics", s.metrics)
	}
	if kind == "admin" {
		return rest
	}
	if s.page != nil && kind != "api" {
		rest.Handle("/", s.page)
	} else {
		rest.Handle("/", s.native) // answers with a problem document
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.durable != nil && strings.HasPrefix(r.URL.Path, s.settings.Durable.Prefix) {
			s.durable.ServeHTTP(w, r)
			return
		}
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

// servesMetrics reports whether a listener serves /metrics: those that serve the HTTP
// interface do, unless there is a listener for it.
func (s *Server) servesMetrics(kind string) bool {
	admin := func(l config.Listener) bool { return l.Handler == "admin" }
	switch {
	case !s.settings.Metrics || kind == "page":
		return false
	case slices.ContainsFunc(s.settings.Listen, admin):
		return kind == "admin"
	}
	return true
}

// ready is false when the log has failed and while the server drains. It says which.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	reason := ""
	switch {
	case s.failed.Load():
		reason = "the log has failed"
	case s.native.Draining():
		reason = "draining"
	default:
		healthy(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", "1")
	http.Error(w, reason, http.StatusServiceUnavailable)
}

func version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(readBuild()) // the client may be gone
}

// A build says what this program was made from.
type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
}

func readBuild() build {
	b := build{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version, b.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}
