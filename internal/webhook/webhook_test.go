package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/webhook"
)

// TestEventsAreWhatIsDocumented looks at the JSON of each event.
func TestEventsAreWhatIsDocumented(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	b.spec.Events = webhook.Events
	b.start()
	b.publish("weir/presence/room/1", "occupied", `{"topic":"room/1"}`)
	b.publish("weir/presence/room/1", "join", `{"topic":"room/1","user":"ada","info":{"name":"<Ada>"}}`)
	b.publish("weir/connections/room/1", "connect", `{"topic":"room/1","connection":"c1","user":"ada"}`)
	b.publish("weir/connections/room/1", "disconnect", `{"topic":"room/1","connection":"c1"}`)
	b.publish("weir/presence/room/1", "leave", `{"topic":"room/1","user":"ada"}`)
	b.publish("weir/presence/room/1", "vacated", `{"topic":"room/1"}`)
	if _, err := b.hub.PublishAll(context.Background(),
		hub.Message{Topics: []string{"other", "room/1"}, ID: "own", Type: "price", Key: "k", Data: []byte(`{"eur":"<17>"}`)},
		hub.Message{Topics: []string{"room"}, Data: []byte{0xff, 0x00}},
		hub.Message{Topics: []string{"room/2/3"}},
	); err != nil {
		t.Fatal(err)
	}
	feedtest.Await(t, "events", func() error { return feedtest.Not(len(r.accepted()) == 9, "got %q", r.accepted()) })
	var got []string
	for _, req := range r.got() {
		var body struct{ Events []json.RawMessage }
		if err := json.Unmarshal([]byte(req.body), &body); err != nil {
			t.Fatal(err)
		}
		for _, e := range body.Events {
			got = append(got, string(e))
		}
	}
	for i, want := range []string{
		`"event":"occupied","topic":"room/1"}`,
		`"event":"join","topic":"room/1","user":"ada","info":{"name":"<Ada>"}}`,
		`"event":"connect","topic":"room/1","user":"ada","connection":"c1"}`,
		`"event":"disconnect","topic":"room/1","connection":"c1"}`,
		`"event":"leave","topic":"room/1","user":"ada"}`,
		`"event":"vacated","topic":"room/1"}`,
		`"event":"message","topic":"room/1","type":"price","key":"k","message_id":"own","data":"{\"eur\":\"<17>\"}"}`,
		`"event":"message","topic":"room","data_base64":"/wA="}`,
		`"event":"message","topic":"room/2/3","data":""}`,
	} {
		id := fmt.Sprintf(`{"id":"%s-%d","time":"`, b.hub.Log().Epoch(), i+1)
		head, tail := got[i][:len(id)+len(`2026-01-02T03:04:05.678Z",`)], got[i][len(id)+len(`2026-01-02T03:04:05.678Z",`):]
		_, err := time.Parse("2006-01-02T15:04:05.000Z", strings.TrimSuffix(strings.TrimPrefix(head, id), `",`))
		if err != nil || tail != want {
			t.Errorf("event %d is\n%s\nwant\n%s…%s (%v)", i, got[i], id, want, err)
		}
	}
}

// TestOnlyWhatWasAskedForIsSent publishes what a hook does not want before each thing
// that it does.
func TestOnlyWhatWasAskedForIsSent(t *testing.T) {
	for _, c := range []struct {
		topics, events []string
		want           []string
	}{
		{[]string{"room/**"}, nil, []string{"occupied room/1", "join room/1 ada"}},
		{[]string{"room/**"}, []string{"connect"}, []string{"connect room/1"}},
		{[]string{"other/*"}, []string{"join", "message"}, []string{"join other/1 eve", "message other/1 text"}},
		{[]string{"**"}, []string{"message"}, []string{"message room/1 text", "message other/1 text"}},
		{[]string{"*/*/*/*"}, []string{"message", "join"}, nil}, // which the topics of weir itself match, too
		{[]string{"room/1", "room/*"}, []string{"message", "message"}, []string{"message room/1 text"}},
	} {
		r := newReceiver(t)
		b := newBed(t, r)
		b.spec.Topics, b.spec.Events, b.spec.DeadLetter = append(c.topics, "last"), append(c.events, "message"), "dead"
		if c.events == nil {
			b.spec.Topics, b.spec.Events = c.topics, nil
		}
		run := b.start()
		b.publish("weir/presence/room/1", "occupied", `{"topic":"room/1"}`)
		b.publish("weir/presence/room/1", "later", `{"topic":"room/1"}`)
		b.publish("weir/presence/room/1", "join", `no JSON`)
		b.publish("weir/presence/room/1", "message", `{}`)
		b.publish("weir/presence/room/1", "connect", `{"topic":"room/1"}`)
		b.publish("weir/stats", "join", `{}`)
		b.join("ada")
		b.publish("weir/presence/other/1", "join", `{"user":"eve"}`)
		b.publish("weir/connections/room/1", "connect", `{}`)
		b.publish("dead", "", "text")
		b.publish("room/1", "webhook-dead-letter", "text")
		if _, err := b.hub.Publish(t.Context(), hub.Message{Topics: []string{"room/1", "weir/stats"}}); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(c.events, "message") || c.events == nil {
			b.publish("room/1", "", "text")
			b.publish("other/1", "join", "text")
		}
		want := c.want
		if c.events != nil {
			b.publish("last", "", "x")
			want = append(want, "message last x")
		}
		r.await(want...)
		run.stop()
	}
}

// TestNothingIsSentTwiceInPeace runs the hook again and again while messages are
// published, with one hook and with new ones.
func TestNothingIsSentTwiceInPeace(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	b.spec.Batch = 7
	h := b.hook()
	var want []string
	for i := range 5 {
		run := run(t, h)
		for n := range 20 {
			user := fmt.Sprint("u", i, "-", n)
			b.join(user)
			want = append(want, "join room/1 "+user)
		}
		r.await(want...)
		run.stop()
		if s := run.Stats(); s.State != webhook.Stopped || s.Failures != 0 || !s.Oldest.IsZero() {
			t.Errorf("stats are %+v", s)
		}
		b.join(fmt.Sprint("between", i)) // comes with the next Run
		want = append(want, fmt.Sprint("join room/1 between", i))
		if i%2 == 0 {
			h = b.hook()
		}
	}
	run(t, h)
	r.await(want...)
	for _, req := range r.got() {
		if len(req.events) > 7 {
			t.Errorf("a request has %d events, want 7 at most", len(req.events))
		}
	}
}

func TestSecretsAreRotatedWithoutARestart(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	run := b.start()
	rotate := func(sign []string, lines ...string) {
		t.Helper()
		b.setSecrets(lines...)
		r.mu.Lock()
		r.secrets = sign // the receiver reports requests that others have signed
		r.mu.Unlock()
	}
	const second, third = "another secret, long enough", "a third one, which does not count"
	b.join("a")
	r.await(joins("a")...)
	rotate([]string{second, secret}, second, "", secret, third)
	b.join("b")
	r.await(joins("a", "b")...)
	rotate([]string{second}, "whsec_"+base64.StdEncoding.EncodeToString([]byte(second)))
	b.join("c")
	r.await(joins("a", "b", "c")...)
	b.setSecrets("short")
	b.join("d")
	run.awaitState(webhook.Failing)
	if s := run.Stats(); !strings.Contains(s.Error, "the secret has 5 bytes, want 24") {
		t.Errorf("stats are %+v", s)
	}
	b.setSecrets(second)
	r.await(joins("a", "b", "c", "d")...)
	b.setSecrets("")
	if _, err := webhook.New(webhook.Options{Spec: b.spec, Hub: b.hub}); err == nil || !strings.Contains(err.Error(), `webhook "app": secret-file`) {
		t.Errorf("New without a secret: %v", err)
	}
}

// TestRequestsAreBounded publishes more than fits into one.
func TestRequestsAreBounded(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	b.spec.Topics, b.spec.Events, b.spec.Batch = []string{"room/**"}, []string{"message"}, 10
	b.start().stop()
	sizes := []int{1 << 20, 1, 1 << 20, 600_000, 400_000, 100_000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	var want []string
	for i, n := range sizes {
		data := strings.Repeat(strconv.Itoa(i%10), n)
		b.publish("room/1", "", data)
		b.publish("other", "", "of no interest")
		want = append(want, "message room/1 "+data)
	}
	b.start()
	r.await(want...)
	var got [][]int
	for _, req := range r.got() {
		var lengths []int
		for _, e := range req.events {
			lengths = append(lengths, len(*e.Data))
		}
		got = append(got, lengths)
	}
	if text := fmt.Sprint(got); text != "[[1048576] [1] [1048576] [600000 400000] [100000 1 1 1 1 1 1 1 1 1] [1 1 1 1 1 1 1]]" {
		t.Errorf("requests have events of %s bytes", text)
	}
}

// TestHTTP2AndTLSAreSpoken has a receiver of which nobody knows who signed its
// certificate, and one that is known.
func TestHTTP2AndTLSAreSpoken(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) int {
		if req.ProtoMajor != 2 {
			t.Errorf("the request has %s", req.Proto)
		}
		return 200
	})
	r.Close()
	r.Server = newTLSServer(r)
	t.Cleanup(r.Server.Close)
	b := newBed(t, r)
	run := b.start()
	b.join("a")
	run.awaitState(webhook.Failing)
	if s := run.Stats(); !strings.Contains(s.Error, "certificate") {
		t.Errorf("stats are %+v", s)
	}
	run.stop()
	b.transport = r.Client().Transport
	b.start()
	r.await(joins("a")...)
}

// TestRunEndsWithTheHub closes the hub first.
func TestRunEndsWithTheHub(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	h, err := hub.New(hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.hub = h
	done := make(chan struct{})
	hook := b.hook()
	go func() {
		defer close(done)
		hook.Run(context.Background())
	}()
	feedtest.Await(t, "it runs", func() error { return feedtest.Not(hook.Stats().State == webhook.Running, "%+v", hook.Stats()) })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(feedtest.Patience):
		t.Fatal("Run has not returned")
	}
	if s := hook.Stats(); s.State != webhook.Stopped {
		t.Errorf("stats are %+v", s)
	}
}

func TestReadersAreThoseOfTheEvents(t *testing.T) {
	for _, c := range []struct {
		events                []string
		presence, connections bool
	}{{nil, true, false}, {[]string{"message"}, false, false}, {[]string{"disconnect"}, false, true}, {[]string{"join", "connect"}, true, true}} {
		s := webhook.Spec{Topics: []string{"a", "b/*"}, Events: c.events}
		p, n := s.Readers()
		if (len(p) == 2) != c.presence || (len(n) == 2) != c.connections {
			t.Errorf("%q: %q, %q", c.events, p, n)
		}
	}
}

// TestWrongSpecsAreRefused looks at what settings cannot hold; the rest is tested there.
func TestWrongSpecsAreRefused(t *testing.T) {
	path := t.TempDir() + "/secret"
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := webhook.Spec{Name: "app", URL: "https://u:hush@h", SecretFile: path, Topics: []string{"a"}}
	if _, err := webhook.New(webhook.Options{Spec: s}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a URL with a password: %v", err)
	}
	s.URL, s.SecretFile = "https://h", path+"s"
	if _, err := webhook.New(webhook.Options{Spec: s}); err == nil || !strings.Contains(err.Error(), `webhook "app": secret-file: open`) {
		t.Errorf("no such file: %v", err)
	}
}
