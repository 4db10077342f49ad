package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/webhook"
	"github.com/weirstream/weir/internal/leak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(leak.Run(m))
}

const secret = "whsec_c2VzYW1lLCBvcGVuIHVwIG5vdw=="

// A hook is a webhook that is served on a port of its own, and who sends to it.
type hook struct {
	*feedtest.Bed
	*feedtest.Running
	t      *testing.T
	spec   feed.Spec
	url    string
	client *http.Client
}

// newHook starts a webhook.
func newHook(t *testing.T, change func(s *feed.Spec)) *hook {
	return newHookOn(t, feedtest.New(t), change)
}

func newHookOn(t *testing.T, bed *feedtest.Bed, change func(s *feed.Spec)) *hook {
	t.Helper()
	h := &hook{Bed: bed, t: t, spec: feed.Spec{Name: "test", Webhook: "standard", Topic: "in", DeadLetter: "dead"}}
	h.spec.SecretFile = filepath.Join(t.TempDir(), "secret")
	h.write(secret)
	if change != nil {
		change(&h.spec)
	}
	if h.spec.Webhook == string(feed.Unsigned) {
		h.spec.SecretFile = ""
	}
	h.start()
	return h
}

// start starts the feed on a port of its own.
func (h *hook) start() {
	h.t.Helper()
	source := webhook.New(h.spec)
	source.BodyTimeout = 5 * time.Second
	h.Running = h.Start(feed.Options{Spec: h.spec, Source: source})
	h.serve(source)
	feedtest.Await(h.t, "the start", func() error { return feedtest.Not(h.Stats().State != feed.Connecting, "connecting") })
}

// serve serves the source until the test ends.
func (h *hook) serve(source *webhook.Source) {
	h.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	srv := &http.Server{Handler: source}
	go func() { _ = srv.Serve(ln) }()
	h.t.Cleanup(func() { srv.Close() })
	h.url = "http://" + ln.Addr().String()
	h.client = &http.Client{Transport: &http.Transport{}}
	h.t.Cleanup(h.client.CloseIdleConnections)
}

// write writes the file of secrets.
func (h *hook) write(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.spec.SecretFile, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// An answer is what the sender gets.
type answer struct {
	status       int
	header       http.Header
	Code, Detail string // of a problem
	Limit        int
	body         string
}

func (a *answer) String() string { return fmt.Sprintf("%d %s %v", a.status, a.body, a.header) }

// post sends a body. Headers have the form "Name: value".
func (h *hook) post(body string, header ...string) *answer {
	h.t.Helper()
	a, err := h.try(strings.NewReader(body), header...)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *hook) try(body io.Reader, header ...string) (*answer, error) {
	return ask(h.client, "POST", h.url, body, header...)
}

func ask(client *http.Client, method, url string, body io.Reader, header ...string) (*answer, error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	for _, line := range header {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a := &answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && len(text) > 0 {
		err = errors.Join(err, json.Unmarshal(text, a))
	}
	return a, err
}

// signed are the headers of Standard Webhooks.
func signed(id, body string) []string { return signedAs(secret, id, body, time.Now()) }

func signedAs(secret, id, body string, at time.Time) []string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	stamp := fmt.Sprint(at.Unix())
	sum := base64.StdEncoding.EncodeToString(mac(key, id+"."+stamp+"."+body))
	return []string{"webhook-id: " + id, "webhook-timestamp: " + stamp, "webhook-signature: v1," + sum}
}

// asGitHub are the headers of GitHub.
func asGitHub(id, event, body string) []string {
	return []string{"X-GitHub-Delivery: " + id, "X-GitHub-Event: " + event, "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac([]byte(secret), body))}
}

// asStripe is the header of Stripe.
func asStripe(body string, at time.Time) string {
	return fmt.Sprintf("Stripe-Signature: t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac([]byte(secret), fmt.Sprint(at.Unix(), ".", body))))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// send sends a message until it has been taken.
func (h *hook) send(id, body string) {
	h.t.Helper()
	feedtest.Await(h.t, "the message "+id, func() error {
		a, err := h.try(strings.NewReader(body), signed(id, body)...)
		if err == nil && a.status != http.StatusOK {
			err = errors.New(a.String())
		}
		return err
	})
}

// A slow reader gives its text, and then nothing until it is closed.
type slow struct {
	io.Reader
	end chan struct{}
}

func newSlow(text []byte) *slow { return &slow{bytes.NewReader(text), make(chan struct{})} }

func (s *slow) Read(p []byte) (int, error) {
	if n, _ := s.Reader.Read(p); n > 0 {
		return n, nil
	}
	<-s.end
	return 0, io.ErrUnexpectedEOF
}
