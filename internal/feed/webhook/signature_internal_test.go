package webhook

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/problem"
)

// A vector is a request that is signed as it should be.
type vector struct {
	scheme       feed.Scheme
	secret, body string
	at           int64 // when it arrives, in seconds
	header       map[string]string
	id           string
}

// The first is the one of the tests of Standard Webhooks, the second that of GitHub's
// documentation of webhooks. That of Stripe, and the last one, whose secret is not in
// base64 though it looks like it, were signed by openssl dgst -sha256 -hmac.
var vectors = []vector{
	{feed.Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330, map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
		"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	}, "msg_p5jXN8AQM9LWM0D4loKWxJek"},
	{feed.GitHub, "It's a Secret to Everybody", "Hello, World!", 1614265330, map[string]string{
		"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		"X-GitHub-Delivery":   "72d3162e-cc78-11e3-81ab-4c9367dc0958",
	}, "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
	{feed.Stripe, "whsec_test_secret", `{"id":"evt_1","type":"charge.succeeded"}`, 1492774577, map[string]string{
		"Stripe-Signature": "t=1492774577,v1=4ee5e8d695c9619e003fd480d3d51700d924e29697337d379a6ef6e06e703ab4,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
	}, "evt_1"},
	{feed.Bearer, "open sesame", "x", 0, map[string]string{"Authorization": "bearer open sesame", "Idempotency-Key": `"k1"`}, "k1"},
	{feed.Unsigned, "", "x", 0, map[string]string{"Idempotency-Key": "k1"}, "k1"},
	{feed.Standard, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`, 1614265330, map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
		"webhook-signature": "v1,ELhqG0Ku1gwOc1f4jyKdp3SFGFLAOdJ9bvpWLciCakI=",
	}, "msg_p5jXN8AQM9LWM0D4loKWxJek"},
}

// judge is what a source whose file has these secrets says to the request.
func (v *vector) judge(t *testing.T, secrets string) (id string, err error) {
	t.Helper()
	s := New(feed.Spec{Webhook: string(v.scheme)})
	if v.scheme != feed.Unsigned {
		s.secrets.path = filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(s.secrets.path, []byte(secrets), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.secrets.current()
	if err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	for name, value := range v.header {
		h.Set(name, value)
	}
	c, err := s.claim(h, list, time.Unix(v.at, 0))
	if err == nil {
		err = c.check(list, []byte(v.body))
	}
	if err != nil {
		return "", err
	}
	m, err := s.message(&http.Request{Method: "POST", Header: h}, c.id, []byte(v.body))
	return m.ID, err
}

func TestPublishedVectorsAreRight(t *testing.T) {
	for _, v := range vectors {
		if id, err := v.judge(t, v.secret); err != nil || id != v.id {
			t.Errorf("%s: ID %q, %v", v.scheme, id, err)
		}
		if _, err := v.judge(t, " \r\nMTIzNDU2Nzg5\r\n"+v.secret+"\r\n\n"); err != nil {
			t.Errorf("%s: the second of two secrets: %v", v.scheme, err)
		}
	}
}

// change returns a copy of vector i with another header; "" removes it.
func change(i int, name, value string) vector {
	v := vectors[i]
	v.header = map[string]string{name: value}
	for n, text := range vectors[i].header {
		if n != name {
			v.header[n] = text
		}
	}
	return v
}

func TestWhatIsNotSignedIsRefused(t *testing.T) {
	const standard, github, stripe, bearer = 0, 1, 2, 3
	good := vectors[stripe].header["Stripe-Signature"]
	sum := strings.TrimPrefix(vectors[github].header["X-Hub-Signature-256"], "sha256=")
	later := func(i int, seconds int64) vector { v := vectors[i]; v.at += seconds; return v }
	for _, c := range []struct {
		name string
		v    vector
		want string // in the reason; "": it is right
	}{
		{"no ID", change(standard, "webhook-id", ""), "webhook-id is missing"},
		{"another ID", change(standard, "webhook-id", "msg_2"), "no signature in webhook-signature is right"},
		{"an ID that takes in the time", change(standard, "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330"), "full stop"},
		{"no time", change(standard, "webhook-timestamp", ""), `webhook-timestamp is "": want seconds`},
		{"another time", change(standard, "webhook-timestamp", "1614265331"), "no signature"},
		{"another form of the time", change(standard, "webhook-timestamp", "+1614265330"), "no signature"},
		{"no number", change(standard, "webhook-timestamp", "soon"), "want seconds since 1970"},
		{"the largest time", change(standard, "webhook-timestamp", "9223372036854775807"), "limit 5m0s"},
		{"the smallest time", change(standard, "webhook-timestamp", "-9223372036854775808"), "limit 5m0s"},
		{"more than the largest", change(standard, "webhook-timestamp", "9223372036854775808"), "want seconds since 1970"},
		{"at the limit of age", later(standard, 300), ""},
		{"too old", later(standard, 301), "webhook-timestamp is 5m1s ago, limit 5m0s"},
		{"a clock at the limit", later(standard, -300), ""},
		{"a clock that is wrong", later(standard, -301), "webhook-timestamp is 5m1s ahead, limit 5m0s"},
		{"no signature", change(standard, "webhook-signature", ""), "webhook-signature is missing"},
		{"only one of another kind", change(standard, "webhook-signature", "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), "webhook-signature is missing, or has no"},
		{"no base64", change(standard, "webhook-signature", "v1,*"), "has no signature"},
		{"empty", change(standard, "webhook-signature", "v1,"), "no signature in"},
		{"short", change(standard, "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ"), "no signature in"},
		{"among others", change(standard, "webhook-signature", "v1a,xx v1,AAAA "+vectors[standard].header["webhook-signature"]), ""},
		{"among very many", change(standard, "webhook-signature", strings.Repeat("v1,AAAA ", 8000)+vectors[standard].header["webhook-signature"]), ""},
		{"no signature", change(github, "X-Hub-Signature-256", ""), "X-Hub-Signature-256 is missing"},
		{"another sum", change(github, "X-Hub-Signature-256", "sha1="+sum), "X-Hub-Signature-256 is missing, or"},
		{"half of it", change(github, "X-Hub-Signature-256", "sha256="+sum[:32]), "no signature in"},
		{"a digit less", change(github, "X-Hub-Signature-256", "sha256="+sum[:63]), "has no signature"},
		{"too much", change(github, "X-Hub-Signature-256", "sha256="+sum+"00"), "no signature in"},
		{"none at all", change(github, "X-Hub-Signature-256", "sha256="), "no signature in"},
		{"capitals", change(github, "X-Hub-Signature-256", "sha256="+strings.ToUpper(sum)), ""},
		{"no signature", change(stripe, "Stripe-Signature", ""), `t in Stripe-Signature is ""`},
		{"no time", change(stripe, "Stripe-Signature", strings.Replace(good, "t=", "u=", 1)), "want seconds"},
		{"another time", change(stripe, "Stripe-Signature", strings.Replace(good, "t=1492774577", "t=1492774578", 1)), "no signature in"},
		{"only that of tests", change(stripe, "Stripe-Signature", strings.Replace(good, "v1=", "v2=", 1)), "has no signature"},
		{"among others", change(stripe, "Stripe-Signature", strings.Replace(good, "v1=", "v1=00,v1=x, v1=", 1)), ""},
		{"too old", later(stripe, 301), "t in Stripe-Signature is 5m1s ago"},
		{"nobody", change(bearer, "Authorization", ""), "want the header Authorization: Bearer SECRET"},
		{"another way", change(bearer, "Authorization", "Basic open sesame"), "want the header"},
		{"another secret", change(bearer, "Authorization", "Bearer open"), "not the one of this webhook"},
		{"no secret", change(bearer, "Authorization", "Bearer "), "want the header"},
	} {
		_, err := c.v.judge(t, c.v.secret)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s, %s: %v", c.v.scheme, c.name, err)
			}
			continue
		}
		d, ok := errors.AsType[problem.Document](err)
		if !ok || d.Status != http.StatusUnauthorized || d.Challenge == "" || !strings.Contains(d.Detail, c.want) {
			t.Errorf("%s, %s: %+v, want 401 with %q", c.v.scheme, c.name, err, c.want)
		}
	}
}

// TestOtherSecretsAndBodiesAreRefusedAlike gives no hint which of the two is wrong.
func TestOtherSecretsAndBodiesAreRefusedAlike(t *testing.T) {
	for _, v := range vectors[:3] {
		_, secret := v.judge(t, "b3RoZXI=")
		v.body += " "
		_, body := v.judge(t, v.secret)
		if secret == nil || body == nil || secret.Error() != body.Error() {
			t.Errorf("%s: another secret: %v, another body: %v", v.scheme, secret, body)
		}
	}
}

func TestSecretFilesThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		scheme     feed.Scheme
		text, want string
	}{
		{feed.GitHub, "", "holds no secret"},
		{feed.GitHub, strings.Repeat("hush\n", 11), "has 11 secrets, limit 10"},
		{feed.GitHub, strings.Repeat("hush\n", 10), ""},
		{feed.Standard, "whsec_aHVzaA==\nwhsec_hush!", "line 2: want base64 after whsec_"},
		{feed.Standard, "hush", ""},
		{feed.GitHub, strings.Repeat("hush", 20_000), "is larger than the limit of 65536 bytes"},
		{feed.Stripe, "whsec_hush!", ""},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := secrets{path: path, scheme: c.scheme}
		list, err := s.current()
		switch {
		case c.want == "" && (err != nil || len(list) == 0), c.want != "" && (err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, %q: %d secrets, %v, want %q", c.scheme, c.text, len(list), err, c.want)
		case err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVz")):
			t.Errorf("the secret is shown: %v", err)
		}
	}
}

// TestSecretsOfAChangedFileCount changes it within one tick of its clock, too.
func TestSecretsOfAChangedFileCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	s := secrets{path: path, scheme: feed.GitHub}
	if _, err := s.current(); err == nil {
		t.Error("there is no file, and no error")
	}
	now := time.Now()
	old := now.Add(-time.Hour)
	for _, c := range []struct {
		text string
		at   time.Time
	}{{"aaa", now}, {"bbb", now}, {"ccc", now}, {"ddd", old}, {"eee", old.Add(time.Second)}, {"longer", old.Add(time.Second)}} {
		err := os.WriteFile(path, []byte(c.text), 0o600)
		if err == nil {
			err = os.Chtimes(path, c.at, c.at)
		}
		if err != nil {
			t.Fatal(err)
		}
		if list, err := s.current(); err != nil || len(list) != 1 || !bytes.Equal(list[0], []byte(c.text)) {
			t.Errorf("after %s: %q, %v", c.text, list, err)
		}
	}
	if info := s.info; info == nil || s.at.Sub(info.ModTime()) < settled {
		t.Fatal("the file still counts as changing")
	}
	before := s.at
	if _, err := s.current(); err != nil || s.at != before {
		t.Error("it is read again though it has not changed")
	}
}

// TestMessagesAfterTheEndAreRefused has one that came to the queue when nobody looked
// there any more.
func TestMessagesAfterTheEndAreRefused(t *testing.T) {
	w := &work{queue: make(chan *delivery, 1), over: make(chan struct{})}
	close(w.over)
	begin := time.Now()
	err := w.hand(feed.Message{Body: []byte("x")})
	if d, ok := errors.AsType[problem.Document](err); !ok || d.Status != http.StatusServiceUnavailable || time.Since(begin) > lastTime/2 {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if d := <-w.queue; d.take() || d.message.Body != nil {
		t.Error("it could still be stored")
	}
}
