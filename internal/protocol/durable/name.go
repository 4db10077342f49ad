package durable

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/topic"
)

// controlSegment is the first segment of what the protocol keeps for itself.
const controlSegment = "__ds"

// name returns the name of the stream at a path that has been unescaped, which is
// its topic.
func (h *Handler) name(path string) (string, error) {
	name, ok := strings.CutPrefix(path, h.opts.Prefix)
	if !ok {
		return "", errNotFound
	}
	if first, _, _ := strings.Cut(name, "/"); first == controlSegment {
		return "", problem.Document{Status: http.StatusNotImplemented, Code: "not_implemented", Detail: "subscriptions of workers, below " + controlSegment + ", are not supported"}
	}
	if err := topic.Check(name); err != nil {
		return "", problem.BadRequest("bad_topic", "the name of a stream is that of a topic: "+err.Error())
	}
	if h.opts.Reserved != "" && strings.HasPrefix(name, h.opts.Reserved) {
		return "", problem.BadRequest("bad_topic", "stream "+problem.Quote(name)+": the prefix "+h.opts.Reserved+" is reserved for the server")
	}
	return name, nil
}

// location returns the address of a stream, as the client knows the server.
func (h *Handler) location(r *http.Request, name string) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: h.opts.Prefix + name}
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		u.Scheme = "https"
	}
	return u.String()
}
