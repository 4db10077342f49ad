package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

// A problem is a refusal by the server, RFC 9457.
type problem struct {
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Line      int    `json:"line"`      // number of the refused line in the request, from 1; 0: the whole request
	Published int    `json:"published"` // lines before it that are kept
	LastID    string `json:"last_id"`

	retryAfter time.Duration // what the server asks for; 0 if nothing
}

func (p *problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Code != "" {
		text = p.Code + ": " + text
	}
	if p.Code == "no_token" {
		text += " (--token-file FILE, or the variable WEIR_TOKEN)"
	}
	return printable(text)
}

// temporary reports whether the same request may succeed later.
func (p *problem) temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func readProblem(resp *http.Response) *problem {
	p := new(problem)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		// An unreadable body leaves the fields empty, which is handled next.
		_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p)
	}
	if p.Code == "" && p.Title == "" && p.Detail == "" {
		p.Detail = fmt.Sprintf("%s answers %s; is it a weir server?", resp.Request.URL.Redacted(), resp.Status)
	}
	p.Status = resp.StatusCode
	p.retryAfter = backoff.RetryAfter(resp.Header.Get("Retry-After"))
	return p
}
