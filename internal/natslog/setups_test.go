package natslog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/natslog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// connectErr connects to the log with a name, or not.
func (s *server) connectErr(name string) (*natslog.Engine, error) {
	return natslog.Connect(s.t.Context(), natslog.Options{URL: s.url, Name: name})
}

// start starts a server with a further configuration. Its URL has no user.
func start(t *testing.T, config string) *server {
	t.Helper()
	s := natsserver.Start(t, fast(config))
	return &server{s, t, s.URL()}
}

func TestURLsAreChecked(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost":                        `scheme "http"`,
		"localhost:4222":                          `scheme "localhost"`,
		"nats://":                                 `host ""`,
		"nats://u:secret@a,,b":                    `host ""`,
		"nats://u:secret@localhost/a":             `path "/a"`,
		"nats://u:secret@localhost?replicas=0":    `replicas="0"`,
		"nats://u:secret@localhost?replicas=many": `replicas="many"`,
		"nats://u:secret@localhost?max_bytes=9":   `max_bytes="9"`,
		"nats://u:secret@localhost?replica=3":     `parameter "replica"`,
		"nats://u:secret@local host\x7f":          "cannot be read",
		"nats://u:secret@127.0.0.1:1,127.0.0.1:1": "no servers available",
		"nats://localhost?creds=/none/such.creds": "no such file",
		"tls://u:secret@localhost?ca=/none/ca":    "no such file",
	} {
		_, err := natslog.Connect(t.Context(), natslog.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Connect(%q) = %v, want an error with %q and no password", url, err, want)
		}
	}
	if _, err := natslog.Connect(t.Context(), natslog.Options{URL: "nats://localhost", Name: "a b"}); err == nil || !strings.Contains(err.Error(), `"a b"`) {
		t.Errorf("Connect with name a b = %v", err)
	}
}

// TestUsersAreKnown uses servers that want a password, a token or TLS.
func TestUsersAreKnown(t *testing.T) {
	dir := t.TempDir()
	if err := certtest.SelfSigned("127.0.0.1").Write(dir); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	tls := fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key)
	for name, c := range map[string]struct{ config, good, bad string }{
		"password": {"authorization { user: u, password: secret }", "nats://u:secret@%s", "nats://u:wrong@%s"},
		"token":    {"authorization { token: secret }", "nats://secret@%s", "nats://%s"},
		"tls":      {tls, "tls://%s?ca=" + cert, "tls://%s"},
		"both":     {tls + "\nauthorization { user: u, password: secret }", "nats+tls://u:secret@%s?skip_verify=true", "tls://u:wrong@%s?skip_verify=true"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.config)
			if e, err := s.at(t, fmt.Sprintf(c.bad, s.Addr())).connectErr("x"); err == nil {
				e.Close()
				t.Errorf("Connect to %s succeeds", c.bad)
			}
			l := s.at(t, fmt.Sprintf(c.good, s.Addr())).open("x", sharedlog.Options{})
			nodetest.Add(t, l, nodetest.Message("a", "1"))
		})
	}
}

// TestServersThatWillNotDo says what is wrong with them.
func TestServersThatWillNotDo(t *testing.T) {
	for want, o := range map[string]natsserver.Options{
		"does not have JetStream": {Bare: true, Config: "max_payload: 8MB"},
		"max_payload of the NATS server is 500000 bytes, want 524288 or more": {Config: "max_payload: 500000"},
	} {
		s := natsserver.Start(t, o)
		_, err := natslog.Connect(t.Context(), natslog.Options{URL: s.URL()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Connect = %v, want an error with %q", err, want)
		}
	}
	s := startServer(t)
	s.manage(func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "WEIR_foreign", Subjects: []string{"foreign"}})
		return err
	})
	if _, err := sharedlog.Open(t.Context(), s.connect("foreign", 0), sharedlog.Options{}); err == nil || !strings.Contains(err.Error(), "is not of weir") {
		t.Errorf("Open of a stream of somebody else = %v", err)
	}
	three := s.at(t, s.url+"?replicas=3")
	if _, err := sharedlog.Open(t.Context(), three.connect("three", 0), sharedlog.Options{}); err == nil || !strings.Contains(err.Error(), "replicas > 1") {
		t.Errorf("Open with three replicas on one server = %v", err)
	}
}

// notes are what was logged. Several goroutines may write.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// TestSettingsThatCostMessagesAreLogged has streams that an operator has changed.
func TestSettingsThatCostMessagesAreLogged(t *testing.T) {
	s := startServer(t)
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"":             func(*jetstream.StreamConfig) {},
		"drops":        func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<20 },
		"NATS deletes": func(c *jetstream.StreamConfig) { c.MaxAge = 1e12 },
		"1 replicas":   func(*jetstream.StreamConfig) {},
	} {
		name := fmt.Sprintf("s.%d", len(want)) // a dot is not for streams
		s.open(name, sharedlog.Options{}).Close()
		s.edit("WEIR_"+strings.ReplaceAll(name, ".", "="), change)
		var logged notes
		o := natslog.Options{URL: s.url, Name: name, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
		if want == "1 replicas" {
			o.Replicas = 3
		}
		e, err := natslog.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		if got := logged.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
}
