package durable

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
)

// A problem is an error as the client sees it.
//
// Source: RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Limit  int    `json:"limit,omitempty"`
}

func (p problem) Error() string { return p.Code + ": " + p.Detail }

// Errors without particulars.
var (
	errNotFound = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is no such stream"}
	errDeleted  = problem{Status: http.StatusGone, Code: "deleted", Detail: "the stream has been deleted; forks of it are still there"}
	errTrimmed  = problem{Status: http.StatusGone, Code: "gone", Detail: "what follows this offset is no longer kept; offset=-1 reads what is"}
	errStopping = problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server is stopping; try again in a moment"}
)

// badRequest is a problem with what the client sent.
func badRequest(code, detail string) problem {
	return problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

// conflict is a problem with what the stream is.
func conflict(code, detail string) problem {
	return problem{Status: http.StatusConflict, Code: code, Detail: detail}
}

func tooLarge(detail string, limit int) problem {
	return problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Limit: limit, Detail: detail}
}

// asProblem turns any error into a problem. Errors it does not know are the
// server's fault, and their text is not for the client.
func asProblem(err error) problem {
	p, known := errors.AsType[problem](err)
	limit, large := errors.AsType[*hub.LimitError](err)
	switch {
	case known:
		return p
	case large:
		return tooLarge(limit.What+" "+strconv.Itoa(limit.Value)+" "+limit.Unit+", limit "+strconv.Itoa(limit.Limit), limit.Limit)
	case errors.Is(err, hub.ErrFull):
		return problem{Status: http.StatusInsufficientStorage, Code: "full", Detail: "there is no room for more; nothing was stored"}
	case errors.Is(err, hub.ErrFailed):
		return problem{Status: http.StatusServiceUnavailable, Code: "failed", Detail: "the log has failed; nothing can be stored"}
	case errors.Is(err, hub.ErrClosed):
		return errStopping
	}
	return problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
}

func writeProblem(w http.ResponseWriter, err error) {
	p := asProblem(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // the client may be gone
}

// quote quotes input for an error text, shortened.
func quote(s string) string {
	const longest = 80
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	cut := longest
	for cut > longest-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// unreadGrace is how long a refusal waits for the rest of the body. What was sent
// at once is there by then, and the connection can be used again.
const unreadGrace = 500 * time.Millisecond

// stopReading lets a refusal go out although the client goes on sending: net/http
// would first wait for the end of the body. It then closes the connection.
func stopReading(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadGrace))
	}
}
