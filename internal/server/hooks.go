package server

import (
	"net/http"
	"strings"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/webhook"
	"github.com/weirstream/weir/internal/problem"
)

// hooksPath is where webhooks arrive. What follows is the name of the feed.
const hooksPath = "/v1/hooks/"

// mountHook serves a feed if it is a webhook.
func (s *Server) mountHook(name string, source feed.Source) {
	hook, ok := source.(*webhook.Source)
	if !ok {
		return
	}
	if s.hooks == nil {
		s.hooks = make(map[string]http.Handler)
	}
	hook.BodyTimeout = s.settings.HTTP.BodyTimeout
	s.hooks[name] = hook
}

// serveHook passes a request on to the webhook that its path names, which checks who has
// sent it. Here is looked at how much comes from one address, how much memory there is,
// and that it is not a page of another origin that made a browser send it.
func (s *Server) serveHook(w http.ResponseWriter, r *http.Request) {
	hook := s.hooks[strings.TrimPrefix(r.URL.Path, hooksPath)]
	if hook == nil {
		problem.StopReading(w, r)
		problem.Write(w, problem.Document{Status: http.StatusNotFound, Code: "not_found", Detail: "no such resource: " + problem.Quote(r.URL.Path)})
		return
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if (preflight || r.Method != http.MethodOptions) && s.hub.Preflight(w, r, http.MethodPost) {
		return
	}
	err := s.gate.CheckOrigin(w, r)
	if err == nil && r.Method == http.MethodPost {
		err = s.gate.Stranger(r).Publish(1)
	}
	if err != nil {
		problem.StopReading(w, r)
		writeProblem(w, err)
		return
	}
	hook.ServeHTTP(w, r)
}
