package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
)

const defaultServer = "http://127.0.0.1:8080"

// publishTimeout bounds one request to publish.
const publishTimeout = time.Minute

// A client talks to one server. Its methods may be called at once.
type client struct {
	server string // as the user knows it
	bearer bearer
	base   string // URL without a slash at the end
	http   *http.Client
}

// A target is which server to talk to, and as whom.
type target struct {
	server string
	bearer bearer
}

// addServerFlags adds --server and --token-file, which variables preset.
func addServerFlags(cmd *cobra.Command, s Streams) *target {
	t := &target{bearer: bearer{text: s.lookup(config.TokenVariable)}}
	addServerFlag(cmd, s, &t.server)
	cmd.Flags().StringVar(&t.bearer.file, "token-file", s.lookup(config.TokenFileVariable),
		"`FILE` with a token or API key, read anew for each request (variable WEIR_TOKEN_FILE, or WEIR_TOKEN with the token itself)")
	return t
}

// addServerFlag adds --server, which a variable presets.
func addServerFlag(cmd *cobra.Command, s Streams, server *string) {
	cmd.Flags().StringVar(server, "server", cmp.Or(s.lookup(config.ServerVariable), defaultServer),
		"`URL` of the server, or unix:/path of its socket (variable WEIR_SERVER)")
}

// A bearer is where a token comes from. A file counts before a text.
type bearer struct{ text, file string }

// token returns the token, or "" if there is none.
func (b bearer) token() (string, error) {
	if b.file == "" {
		return b.text, nil
	}
	text, err := access.ReadSecret(b.file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return string(text), nil
}

// authorize puts the token into a request.
func (b bearer) authorize(req *http.Request) error {
	token, err := b.token()
	if err == nil && token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// newClient checks the address, which may lack the scheme; it does not connect.
func newClient(to target) (*client, error) {
	server := to.server
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Proxy:              http.ProxyFromEnvironment,
		DialContext:        dialer.DialContext,
		ForceAttemptHTTP2:  true,
		DisableCompression: true, // a compressed stream may be held back on its way
	}
	c := &client{server: server, bearer: to.bearer, base: "http://localhost", http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		return c, nil
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, usage("%q is not the address of a server: write http://host:port or unix:/path", c.server)
	}
	c.base = strings.TrimRight(u.String(), "/")
	return c, nil
}

// noRedirect shows a redirection to the user instead of following it, which
// would turn a publish into a read.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// An ack is what the server says about published lines.
type ack struct {
	Published int    `json:"published"`
	LastID    string `json:"last_id"`
}

// publish posts JSON lines, which have the idempotency keys key/1, key/2 and so on.
// The ack counts also if the error is not nil: that many lines, empty ones not
// counted, are kept from the start. The error is a *problem or a *connectError.
func (c *client) publish(ctx context.Context, key string, lines []byte) (ack, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, fmt.Errorf("timed out after %v", publishTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/events", bytes.NewReader(lines))
	if err != nil {
		return ack{}, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Idempotency-Key", key) // which also lets net/http send the request again if the connection had gone stale
	resp, err := c.do(req)
	if err != nil {
		if p, ok := errors.AsType[*problem](err); ok {
			return ack{p.Published, p.LastID}, err
		}
		return ack{}, err
	}
	defer resp.Body.Close()
	var a ack
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&a); err != nil {
		return ack{}, c.cut(ctx, err)
	}
	return a, nil
}

// follow opens a stream of messages, one JSON object per line, which the caller
// must close. It returns nil and no error if the server wants no more reading.
func (c *client) follow(ctx context.Context, query url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNoContent {
		resp.Body.Close()
		return nil, nil
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/x-ndjson") {
		resp.Body.Close()
		return nil, fmt.Errorf("%s answers with %q, not with messages; is it a weir server?", c.server, kind)
	}
	return resp.Body, nil
}

// do returns the response if its status is 2xx, else a *problem or *connectError.
func (c *client) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "weir/"+readBuild().Version)
	if err := c.bearer.authorize(req); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(req.Context(), err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

// A connectError says that there is no answer from the server.
type connectError struct {
	server string
	cause  error
	open   bool // the answer had begun
}

func (e *connectError) Error() string {
	if e.open {
		return fmt.Sprintf("connection to %s lost: %v", e.server, e.cause)
	}
	return fmt.Sprintf("no answer from %s: %v", e.server, e.cause)
}

func (e *connectError) Unwrap() error { return e.cause }

// lost wraps err so that it reads well in one line.
func (c *client) lost(ctx context.Context, err error) error {
	e := &connectError{server: c.server, cause: err}
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.cause = u.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		e.cause = errno
	}
	if cause := context.Cause(ctx); cause != nil {
		e.cause = cause
	}
	return e
}

// cut is like lost for an answer that has begun.
func (c *client) cut(ctx context.Context, err error) error {
	e := &connectError{server: c.server, cause: err, open: true}
	if err == io.EOF {
		e.cause = errors.New("the server ended it")
	}
	if cause := context.Cause(ctx); cause != nil {
		e.cause = cause
	}
	return e
}

// close releases connections that wait for another request.
func (c *client) close() { c.http.CloseIdleConnections() }
