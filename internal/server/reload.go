package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

// OnReload says how settings are read again when a client asks for it on a listener
// of kind admin. It is called before Start.
func (s *Server) OnReload(fn func() error) { s.reload = fn }

// Reload puts other settings into force, those that [Reloads] knows, and reads all
// files of keys and certificates again. Streams stay open. If it fails, what was in
// force still is; certificates are looked at last.
func (s *Server) Reload(now *config.Settings) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.guard.closed {
		return errors.New("the server is stopping")
	}
	if now.Access.On() != s.settings.Access.On() {
		return errors.New("access control cannot be switched on or off without a restart")
	}
	next, err := openGuard(now, s.tickets, s.revoked, s.isSecure, s.log)
	if err != nil {
		return err
	}
	old := s.guard
	s.guard = next
	s.gate.Change(gate.Rules{Verifier: next.verifier, Limits: limits(&now.Limits)})
	old.close()
	if s.certs != nil {
		if err := s.certs.Reload(); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	return nil
}

// OnDrain has fn called when Run begins to drain, for whatever reason. It is called
// before Run.
func (s *Server) OnDrain(fn func()) { s.draining = fn }

// Reloads reports whether Reload takes notice of a setting, by its name.
func Reloads(name string) bool {
	group, _, _ := strings.Cut(name, ".")
	return group == "access" && name != "access.tickets" || group == "limits" && name != "limits.memory" && name != "limits.clients"
}

// mayReload lets pass who reaches a listener from this machine, or may publish to the
// topic that stands for the server's settings.
func (s *Server) mayReload(l config.Listener, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.checkReload(l, w, r); err != nil {
			writeProblem(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) checkReload(l config.Listener, w http.ResponseWriter, r *http.Request) error {
	if err := s.gate.CheckOrigin(w, r); err != nil {
		return err
	}
	if l.Loopback() || !s.settings.Access.On() {
		return nil
	}
	v, err := s.gate.Enter(r)
	if err != nil {
		return err
	}
	return v.MayOperate(gate.Reserved + "settings")
}

// serveReload has the settings read again.
func (s *Server) serveReload(w http.ResponseWriter, _ *http.Request) {
	if s.reload == nil {
		writeProblem(w, problem.Document{Status: http.StatusNotImplemented, Code: "not_possible", Detail: "this server does not read its settings again"})
		return
	}
	if err := s.reload(); err != nil {
		writeProblem(w, problem.Document{Status: http.StatusUnprocessableEntity, Code: "bad_settings", Detail: err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
