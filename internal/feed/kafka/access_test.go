package kafka_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/kafka"
)

const password = "h/u sh"

// TestPasswords logs in in every way, with the right password and with another.
func TestPasswords(t *testing.T) {
	t.Parallel() // it mostly waits
	b := newBroker(t, "-password", password)
	c := connect(t, b, kgo.SASL(plain.Auth{User: "plain", Pass: password}.AsMechanism()))
	c.create(1)
	c.send(numbers(0, 10)...)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wrong []*feedtest.Running
	for _, url := range []string{"kafka://plain@HOST", "kafka://plain@HOST?sasl=plain", "kafka://sha256@HOST?sasl=scram-sha-256", "kafka://sha512@HOST/?sasl=scram-sha-512"} {
		bed := feedtest.New(t)
		url = strings.Replace(url, "HOST", b.Addr(), 1)
		wrong = append(wrong, start(t, feedtest.New(t), func(s *feed.Spec) { s.From = strings.Replace(url, "@", ":secret@", 1) }))
		start(t, bed, func(s *feed.Spec) { s.From, s.Group, s.PasswordFile = url, url, file })
		bed.AwaitData("in", feedtest.Numbers(0, 10))
	}
	for _, r := range wrong {
		awaitStats(t, r, "the refusal", func(s feed.Stats) bool {
			return s.State == feed.Failing && strings.Contains(s.Error, "is the password wrong?") && !strings.Contains(s.Error, "secret")
		})
	}
}

// TestPasswordFileIsReadAgain mends it while the feed runs.
func TestPasswordFileIsReadAgain(t *testing.T) {
	b, bed := newBroker(t, "-password", password), feedtest.New(t)
	file := filepath.Join(t.TempDir(), "password")
	from := func(s *feed.Spec) { s.From, s.PasswordFile = "kafka://plain@"+b.Addr(), file }
	r := start(t, bed, from)
	awaitStats(t, r, "the missing file", func(s feed.Stats) bool { return s.State == feed.Failing && strings.Contains(s.Error, "password-file") })
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connect(t, b, kgo.SASL(plain.Auth{User: "plain", Pass: password}.AsMechanism()))
	c.create(1)
	c.send(numbers(0, 10)...)
	bed.AwaitData("in", feedtest.Numbers(0, 10))
	r.AwaitState(feed.Running)
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	locked := newBroker(t, "-password", password)
	private, _ := newTLSBroker(t)
	c := connect(t, locked, kgo.SASL(plain.Auth{User: "plain", Pass: password}.AsMechanism()))
	c.create(1)
	for _, want := range []struct{ from, text string }{
		{"kafka://nobody:h%2Fu%20sh@" + locked.Addr(), "TOPIC_AUTHORIZATION_FAILED"},
		{"kafka://reader:h%2Fu%20sh@" + locked.Addr(), `group "TestErrorsSayWhatIsWrong": GROUP_AUTHORIZATION_FAILED`},
		{"kafka://" + locked.Addr(), "is SASL missing?"},
		{"kafka://" + private.Addr(), "is TLS missing?"},
		{"kafka+tls://" + private.Addr(), "unknown authority"},
		{"kafka://127.0.0.1:1", "connection refused"},
	} {
		r := start(t, feedtest.New(t), func(s *feed.Spec) { s.From = want.from })
		awaitStats(t, r, want.from, func(s feed.Stats) bool {
			return s.State == feed.Failing && strings.Contains(s.Error, want.text) && !strings.Contains(s.Error, "sh@")
		})
		r.Stop()
	}
}

func TestURLs(t *testing.T) {
	for _, c := range []struct{ from, file, want string }{
		{"kafka://a:1,b:2,c:3", "", ""},
		{"kafka+tls://u:p@a/?sasl=scram-sha-512", "", ""},
		{"kafka://u@a", "f", ""},
		{"kafka://a:1,,b:2", "", "broker 2"},
		{"kafka:", "", "broker 1"},
		{"kafka://a/orders", "", `path "/orders": topics are named with subscribe`},
		{"kafka://a?acks=1", "", `parameter "acks"`},
		{"kafka://u:hush@a?sasl=gssapi", "", "sasl=gssapi, want plain"},
		{"kafka://a?sasl=plain", "", "no user"},
		{"kafka://a", "f", "no user"},
		{"kafka://u@a", "", "without a password"},
	} {
		_, err := kafka.New(feed.Spec{Name: "test", From: c.from, PasswordFile: c.file, Subscribe: []string{"t"}, Topic: "t"})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: New() = %v, want %q", c.from, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hush"):
			t.Errorf("the password is shown: %v", err)
		}
	}
}

// newTLSBroker starts one with a certificate, which signs itself.
func newTLSBroker(t *testing.T) (b *feedtest.Kafka, cert string) {
	t.Helper()
	dir := t.TempDir()
	if err := certtest.SelfSigned("127.0.0.1").Write(dir); err != nil {
		t.Fatal(err)
	}
	cert = filepath.Join(dir, "cert.pem")
	return newBroker(t, "-cert", cert, "-key", filepath.Join(dir, "key.pem")), cert
}

func TestTLS(t *testing.T) {
	b, cert := newTLSBroker(t)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	c, bed := connect(t, b, kgo.DialTLSConfig(&tls.Config{RootCAs: trusted})), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 10)...)
	start(t, bed, func(s *feed.Spec) { s.From, s.CAFile = "kafka+tls://"+b.Addr(), cert })
	bed.AwaitData("in", feedtest.Numbers(0, 10))
}
