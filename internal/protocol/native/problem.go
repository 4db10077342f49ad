package native

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
)

// A problem is an error as the client sees it.
//
// Source: RFC 9457.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	Limit     int    `json:"limit,omitempty"`
	Line      int    `json:"line,omitempty"`
	Published *int   `json:"published,omitempty"` // lines before the bad one, which are kept
	LastID    string `json:"last_id,omitempty"`
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

// badRequest is a problem with what the client sent.
func badRequest(code, detail string) problem {
	return problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

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
	{hub.ErrClosed, http.StatusServiceUnavailable, "unavailable"},
}

// asProblem turns any error into a problem. Errors it does not know are the
// server's fault, and their text is not for the client.
func asProblem(err error) problem {
	var p problem
	if errors.As(err, &p) {
		return p
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return problem{Status: s.status, Code: s.code, Detail: err.Error()}
		}
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
}

func writeProblem(w http.ResponseWriter, err error) {
	p := asProblem(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// quote quotes input for an error text, shortened.
func quote(s string) string {
	const longest = 80
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	cut := longest
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
