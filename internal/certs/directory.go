package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	connectTimeout = 5 * time.Second // to connect, and again for TLS
	maxAnswer      = 1 << 20         // bytes of an answer of the ACME server
	maxRefusals    = 8               // remembered for each domain
)

// backoff gives up soon and leaves the rest to the waits between attempts: a server that
// says no does not change its mind while a client waits.
func backoff(n int, _ *http.Request, resp *http.Response) time.Duration {
	if n > 2 || resp.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return time.Duration(n) * time.Second
}

// RoundTrip implements [http.RoundTripper] for the ACME client. Requests end with
// the store. It reads along, because autocert keeps the server's reasons to itself.
func (a *issuer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(a.closed, cancel)()
	resp, err := a.server.RoundTrip(req.WithContext(ctx))
	if err != nil {
		a.note(req.URL.String(), answer{Detail: err.Error()})
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var z answer
	if json.Unmarshal(body, &z) == nil {
		a.note(req.URL.String(), z)
	}
	return resp, nil
}

// An answer of the ACME server: a problem document, an authorization, or neither.
type answer struct {
	Detail     string
	Identifier struct{ Value string }
	Challenges []struct {
		Type  string
		Error struct{ Detail string }
	}
}

func (z answer) reasons() (reasons []string) {
	for _, c := range z.Challenges {
		if c.Error.Detail != "" {
			reasons = append(reasons, c.Type+": "+c.Error.Detail)
		}
	}
	return reasons
}

// note keeps what went wrong. Without an attempt of ours under way it is a renewal.
func (a *issuer) note(at string, z answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if z.Detail != "" {
		a.last = errors.New("ACME: " + z.Detail)
	}
	if d := a.domains[strings.ToLower(z.Identifier.Value)]; d != nil {
		for _, reason := range z.reasons() {
			d.refusals.add(at, reason)
		}
	}
}

// refusals are why the ACME server did not believe that a domain is ours.
type refusals struct {
	urls    []string // of authorizations, the newest last; autocert looks at each several times
	reasons []string
	since   time.Time // when there was none before
}

func (r *refusals) add(url, reason string) {
	if slices.Contains(r.urls, url) || len(r.reasons) == maxRefusals {
		return
	}
	r.urls = append(r.urls[max(0, len(r.urls)-maxRefusals+1):], url)
	if len(r.reasons) == 0 {
		r.since = time.Now()
	}
	r.reasons = append(r.reasons, reason)
}

// clear forgets the reasons and returns them, but still knows the authorizations.
func (r *refusals) clear() []string {
	reasons := r.reasons
	r.reasons = nil
	return reasons
}

// failedRenewal returns why a renewal has failed, once. A refusal may be followed by success
// in another way, so it counts when a minute has passed without a certificate.
func (d *domain) failedRenewal(now time.Time) error {
	if d.attempt != nil || len(d.refusals.reasons) == 0 || now.Sub(d.refusals.since) < time.Minute {
		return nil
	}
	return fmt.Errorf("ACME for %q, renewal: %s", d.name, strings.Join(d.refusals.clear(), "; "))
}
