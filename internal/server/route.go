package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/openapi"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/protocol/native"
)

// route returns the handler of a listener: "all", "api", "page" or "admin". It does
// not use http.ServeMux for /v1, which would redirect paths that it wants cleaned.
func (s *Server) route(l config.Listener) http.Handler {
	rest, kind := http.NewServeMux(), l.Handler
	rest.HandleFunc("/healthz", healthy)
	rest.HandleFunc("/readyz", s.ready)
	rest.HandleFunc("/version", version)
	rest.HandleFunc("GET /openapi.yaml", openapi.Serve)
	if kind == "admin" {
		rest.Handle("POST /reload", s.mayReload(l, http.HandlerFunc(s.serveReload)))
	}
	switch {
	case s.servesMetrics(kind) && kind == "admin":
		rest.HandleFunc("GET /metrics", s.metrics)
	case s.servesMetrics(kind):
		rest.Handle("GET /metrics", s.guarded(gate.Reserved+"metrics", http.HandlerFunc(s.metrics)))
	}
	if kind == "admin" {
		return s.withBodyTimeout(rest)
	}
	if s.page != nil && kind != "api" {
		rest.Handle("/", s.page)
	} else {
		rest.Handle("/", s.native) // answers with a problem document
	}
	return s.withBodyTimeout(s.withChallenges(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.durable != nil && strings.HasPrefix(r.URL.Path, s.settings.Durable.Prefix) {
			s.durable.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, hooksPath) {
			s.serveHook(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			s.native.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})))
}

// withBodyTimeout bounds the time of bodies that nobody reads. net/http waits for the
// end of a short one before it answers, however long that takes.
func (s *Server) withBodyTimeout(next http.Handler) http.Handler {
	timeout := s.settings.HTTP.BodyTimeout
	if timeout == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // or -1: not known
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) // who reads a body sets its own
		}
		next.ServeHTTP(w, r)
	})
}

// withChallenges answers what an ACME server asks on listeners without TLS.
func (s *Server) withChallenges(l config.Listener, next http.Handler) http.Handler {
	if s.certs == nil || l.TLS || l.Network == "unix" {
		return next
	}
	return s.certs.HTTPHandler(next)
}

// guarded lets those pass who may see what belongs to the server.
func (s *Server) guarded(topic string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := s.gate.Enter(r)
		if err == nil {
			err = v.MaySee(topic)
		}
		if err != nil {
			writeProblem(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guardDemos lets those open the demos of the page who may read weir/demo. The page
// itself is for all.
func (s *Server) guardDemos(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/demo/") {
			page.ServeHTTP(w, r)
			return
		}
		v, err := s.gate.Enter(r)
		if err == nil {
			err = v.MaySubscribe(native.Reserved + "demo")
		}
		var lease *gate.Lease
		if err == nil {
			lease, err = v.Open(false)
		}
		if err != nil {
			s.hub.Preflight(w, r) // as the demo would, so that a page can read the answer
			writeProblem(w, err)
			return
		}
		defer lease.Abandon()
		page.ServeHTTP(w, lease.Request(r))
	})
}

// writeProblem answers with an error of the gate.
func writeProblem(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[problem.Document](err)
	if !ok {
		p = problem.Document{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
	}
	problem.Write(w, p)
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
