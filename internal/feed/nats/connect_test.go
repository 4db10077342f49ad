package nats_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	natsfeed "github.com/weirstream/weir/internal/feed/nats"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/proctest"
)

func TestWhatNewRefuses(t *testing.T) {
	for _, c := range []struct {
		from      string
		subscribe []string
		want      string // "" for nothing
	}{
		{"nats://a?addr=b:1&addr=c:1", []string{"a.*", "b.>", "a", "a.b.c", "c.*.d"}, ""},
		{"nats://a/path", nil, "want nats://HOST"},
		{"nats:", nil, "want nats://HOST"},
		{"nats://a?tls=1", nil, `"tls" is not known`},
		{"nats://a", []string{"a.*", "b", "a.b"}, `"a.*" and "a.b" overlap`},
		{"nats://a", []string{"a.>", "*.b"}, `"a.>" and "*.b" overlap`},
		{"nats://a", []string{">", "b"}, "overlap"},
	} {
		_, err := natsfeed.New(feed.Spec{Name: "test", From: c.from, Subscribe: c.subscribe, Topic: "in"})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %q: %v, want %q", c.from, c.subscribe, err, c.want)
		}
	}
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	file := write(t, "hushhush\n")
	r := s.feed(bed, func(f *feed.Spec) { f.From, f.PasswordFile = "nats://weir@"+s.Addr(), file })
	awaitError(t, r, "connect to nats://", "Authorization Violation")
	if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.AwaitState(feed.Running)
	r.Stop()
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From = s.as("weir:hushhush") }), "Authorization Violation")
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From = s.as("hushhush") }), "Authorization Violation")
}

func TestTokenAndTLS(t *testing.T) {
	dir, bed := t.TempDir(), feedtest.New(t)
	if err := certtest.SelfSigned("127.0.0.1").Write(dir); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "cert.pem")
	tls := natsserver.Start(t, natsserver.Options{Bare: true, Config: fmt.Sprintf("authorization { token: sesame }\ntls { cert_file: %q, key_file: %q }", ca, filepath.Join(dir, "key.pem"))})
	plain := natsserver.Start(t, natsserver.Options{Bare: true, Config: "authorization { token: sesame }"})
	s := &server{Server: tls, t: t}
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From = "nats+tls://sesame@" + s.Addr() }), "unknown authority")
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From = "nats+tls://sesame@" + plain.Addr() }), "secure connection not available")
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From, f.CAFile = s.as("sesame"), write(t, "nothing") }), "has no certificate")
	s.feed(bed, func(f *feed.Spec) { f.From, f.CAFile = "nats+tls://sesame@"+s.Addr(), ca }).AwaitState(feed.Running)
	s.feed(bed, func(f *feed.Spec) { f.From, f.CAFile, f.PasswordFile = s.URL(), ca, write(t, "sesame\n") }).AwaitState(feed.Running)
}

// TestAnotherServer has the first of two in the URL down.
func TestAnotherServer(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) {
		f.From = fmt.Sprintf("nats://weir:hush@127.0.0.1:%d?addr=%s", proctest.FreePort(), s.Addr())
	})
	r.AwaitState(feed.Running)
	s.publish("in", "1")
	bed.AwaitData("in", []string{"1"})
}

// A claim is one of the texts that say who is who where there is an operator.
func claim(t *testing.T, issuer nkeys.KeyPair, subject string, what map[string]any) string {
	t.Helper()
	iss, err := issuer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	what["version"] = 2
	body, err := json.Marshal(map[string]any{"jti": subject, "iat": time.Now().Unix(), "iss": iss, "sub": subject, "name": "test", "nats": what})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(body)
	signature, err := issuer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func TestCredentials(t *testing.T) {
	var keys [3]nkeys.KeyPair
	var names [3]string
	for i, create := range []func() (nkeys.KeyPair, error){nkeys.CreateOperator, nkeys.CreateAccount, nkeys.CreateUser} {
		var err error
		if keys[i], err = create(); err == nil {
			names[i], err = keys[i].PublicKey()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	operator := claim(t, keys[0], names[0], map[string]any{"type": "operator"})
	account := claim(t, keys[0], names[1], map[string]any{"type": "account", "limits": map[string]any{"subs": -1, "data": -1, "payload": -1, "conn": -1}})
	user := claim(t, keys[1], names[2], map[string]any{"type": "user", "subs": -1, "data": -1, "payload": -1})
	seed, err := keys[2].Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", user, seed))
	s := &server{t: t, Server: natsserver.Start(t, natsserver.Options{Bare: true,
		Config: fmt.Sprintf("operator: %q\nresolver: MEMORY\nresolver_preload: { %s: %q }", operator, names[1], account)})}
	bed := feedtest.New(t)
	awaitError(t, s.feed(bed, func(f *feed.Spec) { f.From = s.URL() }), "Authorization Violation")
	s.feed(bed, func(f *feed.Spec) { f.From, f.PasswordFile = s.URL(), file }).AwaitState(feed.Running)
	if s.conn, err = nats.Connect(s.URL(), nats.UserCredentials(file)); err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	s.publish("in", "1")
	bed.AwaitData("in", []string{"1"})
}

// TestExampleProducersTellWhatIsRefused runs those of examples/feeds/nats where there is no
// stream, and where they need a password.
func TestExampleProducersTellWhatIsRefused(t *testing.T) {
	run := func(s *natsserver.Server, args ...string) (string, error) {
		cmd := exec.Command(proctest.Need(t, args[0]), args[1:]...)
		cmd.Dir, cmd.Env = "../../../examples/feeds/nats", append(os.Environ(), "NATS="+s.Addr())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, _ := run(natsserver.Start(t, natsserver.Options{}), "php", "producer.php"); !strings.Contains(out, "not stored: HMSG") {
		t.Errorf("without a stream the one in PHP says %q", out)
	}
	if out, err := run(natsserver.Start(t, natsserver.Options{Config: users}), "bash", "producer.sh"); err == nil {
		t.Errorf("without a password the one in shell succeeds, and says %q", out)
	}
}
