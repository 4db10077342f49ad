// Package problem words errors for HTTP clients, as RFC 9457 problem documents.
//
// A handler's functions return a [Document] as their error; what turns the errors
// of packages below into documents belongs to each protocol. [Write] sends one.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// A Document is an error as the client sees it. Code is stable, Detail is for people.
type Document struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Limit      int    `json:"limit,omitempty"`
	Line       int    `json:"line,omitempty"`       // the first that was not published, from 1
	Published  *int   `json:"published,omitempty"`  // lines before it, which are kept
	Duplicates int    `json:"duplicates,omitempty"` // of those: how many had been published before
	LastID     string `json:"last_id,omitempty"`

	RetryAfter time.Duration `json:"-"` // header Retry-After; 0: 1 s with status 503, none with others
	Challenge  string        `json:"-"` // header WWW-Authenticate; "": none
}

func (d Document) Error() string { return d.Code + ": " + d.Detail }

// BadRequest is a problem with what the client sent.
func BadRequest(code, detail string) Document {
	return Document{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

// Conflict is a problem with what is there already.
func Conflict(code, detail string) Document {
	return Document{Status: http.StatusConflict, Code: code, Detail: detail}
}

// TooLarge is a problem with a size.
func TooLarge(detail string, limit int) Document {
	return Document{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Limit: limit, Detail: detail}
}

// Write answers with d. It fills in Type and Title.
func Write(w http.ResponseWriter, d Document) {
	d.Type, d.Title = "about:blank", http.StatusText(d.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if d.Status == http.StatusServiceUnavailable && d.RetryAfter == 0 {
		d.RetryAfter = time.Second
	}
	if d.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((d.RetryAfter+time.Second-1)/time.Second)))
	}
	if d.Challenge != "" {
		h.Set("WWW-Authenticate", d.Challenge)
	}
	w.WriteHeader(d.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // for readers that are no HTML pages
	_ = enc.Encode(d)        // the client may be gone
}

// Quote quotes input for an error text, shortened to about 80 bytes.
func Quote(s string) string {
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

// StopReading lets a refusal go out although the client goes on sending: net/http
// would first wait for the end of the body, or for 256 KiB of it, which may be
// hours away. It then closes the connection.
func StopReading(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		// Full duplex would do without the wait, but net/http panics when the body of
		// such a request ends after the handler.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadGrace))
	}
}
