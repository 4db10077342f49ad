package native

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/sse"
)

// errStopping refuses changes while the server stops.
var errStopping = problem.Document{Status: http.StatusServiceUnavailable, Code: "unavailable",
	Detail: "the server is stopping; try again in a moment"}

// statuses maps the hub's errors. The first that matches counts.
var statuses = []struct {
	err    error
	status int
	code   string
}{
	{hub.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{hub.ErrTopic, http.StatusBadRequest, "bad_topic"},
	{hub.ErrPattern, http.StatusBadRequest, "bad_pattern"},
	{hub.ErrID, http.StatusBadRequest, "bad_id"},
	{hub.ErrType, http.StatusBadRequest, "bad_type"},
	{hub.ErrFull, http.StatusInsufficientStorage, "full"},
	{hub.ErrFailed, http.StatusServiceUnavailable, "failed"},
	{hub.ErrUnavailable, http.StatusServiceUnavailable, "log_unavailable"},
}

// asProblem turns any error into a problem. Errors it does not know are the
// server's fault, and their text is not for the client.
func asProblem(err error) problem.Document {
	if p, ok := errors.AsType[problem.Document](err); ok {
		return p
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			p := problem.Document{Status: s.status, Code: s.code, Detail: withoutPackages(err)}
			if e, ok := errors.AsType[*hub.LimitError](err); ok {
				p.Limit = e.Limit
			}
			return p
		}
	}
	if errors.Is(err, hub.ErrClosed) {
		return problem.Document{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server is stopping"}
	}
	return problem.Document{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
}

// sentinels begin the error texts of the packages below. The code of a problem
// says the same.
var sentinels = []error{hub.ErrTooLarge, eventlog.ErrTooLarge, hub.ErrTopic, hub.ErrPattern, hub.ErrID, hub.ErrType, hub.ErrFull, hub.ErrFailed, hub.ErrUnavailable, eventlog.ErrID, sse.ErrField}

// withoutPackages returns the text of err without the sentinels it begins with.
func withoutPackages(err error) string {
	text := err.Error()
	for i := 0; i < len(sentinels); i++ {
		if rest, ok := strings.CutPrefix(text, sentinels[i].Error()+": "); ok {
			text, i = rest, -1 // look for all of them again
		}
	}
	return text
}

func writeProblem(w http.ResponseWriter, err error) { problem.Write(w, asProblem(err)) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	answerHeader(w, "application/json")
	w.WriteHeader(status)
	encode(w, v)
}

// answerHeader sets what all answers that are no streams have in common.
func answerHeader(w http.ResponseWriter, contentType string) http.Header {
	h := w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Cache-Control", "no-store")
	return h
}

// encode writes v for readers that are no HTML pages.
func encode(w http.ResponseWriter, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client may be gone
}
