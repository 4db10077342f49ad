package tracing

import (
	"net/http"
	"strings"
)

// An operation is what requests of one method do below one path.
type operation struct {
	method string
	prefix string // of the path, which goes on with a name; or all of it
	name   string // of what follows, as the route shows it: "{topic}"; "": nothing does
	verb   string
	sends  bool // messages
}

// operations are those that are traced. The first that matches counts.
func operations(streams string) (ops []operation) {
	if streams != "" {
		ops = append(ops,
			operation{http.MethodPost, streams, "{name}", "append", true},
			operation{http.MethodPut, streams, "{name}", "create", false},
			operation{http.MethodDelete, streams, "{name}", "delete", false})
	}
	return append(ops,
		operation{http.MethodPost, "/v1/topics/", "{topic}", "publish", true},
		operation{http.MethodDelete, "/v1/topics/", "{topic}", "forget", false},
		operation{http.MethodPost, "/v1/events", "", "publish", true})
}

// operation returns what a request does, or nil if it is not traced.
func (t *Tracer) operation(r *http.Request) *operation {
	for i := range t.operations {
		if op := &t.operations[i]; op.method == r.Method && op.matches(r.URL.Path) {
			if op.name == "" && subscribes(r) {
				return nil
			}
			return op
		}
	}
	return nil
}

func (o *operation) matches(path string) bool {
	if o.name == "" {
		return path == o.prefix
	}
	return len(path) > len(o.prefix) && strings.HasPrefix(path, o.prefix)
}

// route is what http.route means: the path with the name of the topic left out.
func (o *operation) route() string { return o.prefix + o.name }

// subscribes reports whether a POST to /v1/events asks for a stream: its body is a form.
func subscribes(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}
