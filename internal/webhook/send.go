package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

const (
	maxSigning = 2         // secrets that sign a request
	maxAnswer  = 64 << 10  // bytes of an answer that are read, and of its head
	maxText    = 200       // bytes of it that are shown
	longestAsk = time.Hour // for which a receiver may ask to be left alone
)

// errGone is the answer of a receiver that wants nothing more.
var errGone = errors.New("the receiver answered 410 Gone: nothing more is sent until the server is started again")

// A refusal is an answer that does not accept.
type refusal struct {
	status string
	text   string        // begin of the body
	after  time.Duration // for which the receiver wants to be left alone
}

func (e *refusal) Error() string {
	if e.text == "" {
		return "the receiver answered " + e.status
	}
	return fmt.Sprintf("the receiver answered %s: %q", e.status, e.text)
}

// asked returns how long the receiver wants to be left alone.
func asked(err error) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		return min(r.after, longestAsk)
	}
	return 0
}

// newClient makes a client that does not follow redirects: whoever answers must not
// choose where requests go.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxResponseHeaderBytes = maxAnswer
		own.DisableCompression = true // so that maxAnswer bounds what is read
		transport = own
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post sends a batch once. nil means that it was accepted. Errors do not quote the URL.
func (h *Hook) post(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.spec.Timeout, fmt.Errorf("no answer within %v", h.spec.Timeout))
	defer cancel()
	req, err := h.request(ctx, b)
	if err != nil {
		return err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	return readAnswer(resp)
}

// request makes a signed request. The secrets are read each time: a rotation needs no
// restart.
func (h *Hook) request(ctx context.Context, b *batch) (*http.Request, error) {
	secrets, err := readSecrets(h.spec.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret-file: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.spec.URL, bytes.NewReader(b.body))
	if err != nil {
		return nil, cause(ctx, err)
	}
	now, signed := time.Now(), []string(nil)
	for _, secret := range secrets[:min(len(secrets), maxSigning)] {
		signed = append(signed, sign(secret, b.id, now, b.body))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weir")
	req.Header.Set("Webhook-Id", b.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", strings.Join(signed, " "))
	req.Header["Idempotency-Key"] = nil // not sent; has net/http try again if an idle connection was closed meanwhile
	return req, nil
}

// cause leaves the URL out, whose path may be secret.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// readAnswer returns nil if the answer accepts.
func readAnswer(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status counts; the rest is for people, and for the connection to be used again
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusGone:
		return errGone
	}
	shown := strings.ToValidUTF8(string(text[:min(len(text), maxText)]), "")
	return &refusal{status: resp.Status, text: strings.TrimSpace(shown), after: backoff.RetryAfter(resp.Header.Get("Retry-After"))}
}
