package gate

import (
	"net/http"

	"github.com/weirstream/weir/internal/problem"
)

// Admit is CheckOrigin and then Enter. A request that only asks what is possible
// (OPTIONS) is from anybody.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request) (*Visitor, error) {
	if err := g.CheckOrigin(w, r); err != nil {
		return nil, err
	}
	if r.Method == http.MethodOptions {
		return g.Anybody(), nil
	}
	return g.Enter(r)
}

// CheckOrigin refuses what a page of another origin asks to change: a browser sends such
// a request without asking first, also to a server on loopback. An origin that is
// allowed has had its CORS headers put into w.
func (g *Gate) CheckOrigin(w http.ResponseWriter, r *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") != "" || g.origin.Check(r) == nil {
		return nil
	}
	return problem.Document{Status: http.StatusForbidden, Code: "cross_origin",
		Detail: "a page of another origin, " + problem.Quote(r.Header.Get("Origin")) + ", may not send " + r.Method + ": the setting cors.origins does not list it"}
}
