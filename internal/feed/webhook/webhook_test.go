package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/webhook"
)

// wantOK fails the test unless the message was taken.
func wantOK(t *testing.T, what string, a *answer) {
	t.Helper()
	if a.status != http.StatusOK || a.body != "{}\n" || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %v, want 200 {}", what, a)
	}
}

func TestMessagesAreStoredBeforeTheAnswer(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) {
		s.Webhook, s.Topic, s.Type, s.Key = "github", "repos/{json.repository.name}", "{property.event}", "{header.x-shard}/{property.content-type}/{property.method}"
	})
	for i, want := range feedtest.Numbers(0, 100) {
		body := fmt.Sprintf(`{"n":%d,"repository":{"name":"weir"}}`, i)
		wantOK(t, want, h.post(body, append(asGitHub(want, "push", body), "X-Shard: a", "X-Shard: b", "Content-Type: application/json")...))
		if got := h.Data("repos/weir"); len(got) != i+1 || got[i] != body {
			t.Fatalf("after answer %d the log has %d messages", i, len(got))
		}
	}
	if e := h.Entries("repos/weir")[7]; e.Type != "push" || e.Key != "a, b/application/json/POST" || e.IdempotencyKey != "feed/test/7" {
		t.Errorf("number 7 has type %q, key %q, idempotency key %q", e.Type, e.Key, e.IdempotencyKey)
	}
	if s := h.Stats(); s.Published != 100 || s.State != feed.Running || s.Failures+s.Dead+s.Dropped != 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestRepeatsAreOneMessage sends each message twice, the second time signed anew where
// the time is part of that.
func TestRepeatsAreOneMessage(t *testing.T) {
	now := time.Now()
	for scheme, header := range map[string]func(id, body string, at time.Time) []string{
		"standard": func(id, body string, at time.Time) []string { return signedAs(secret, id, body, at) },
		"github":   func(id, body string, _ time.Time) []string { return asGitHub(id, "push", body) },
		"stripe":   func(_, body string, at time.Time) []string { return []string{asStripe(body, at)} },
		"bearer": func(id, _ string, _ time.Time) []string {
			return []string{"Authorization: Bearer " + secret, "Idempotency-Key: " + id}
		},
		"open": func(id, _ string, _ time.Time) []string { return []string{"Idempotency-Key: " + id} },
	} {
		t.Run(scheme, func(t *testing.T) {
			h := newHook(t, func(s *feed.Spec) { s.Webhook = scheme })
			var want []string
			for i := range 5 {
				id := fmt.Sprint("evt_", i)
				body := fmt.Sprintf(`{"id":%q}`, id)
				want = append(want, body)
				wantOK(t, "the first time", h.post(body, header(id, body, now)...))
				wantOK(t, "again", h.post(body, header(id, body, now.Add(time.Second))...))
				if scheme == "standard" || scheme == "stripe" { // their names are signed, and this is not
					wantOK(t, "by another name", h.post(body, append(header(id, body, now), "Idempotency-Key: other")...))
				}
			}
			h.AwaitData("in", want)
		})
	}
}

func TestMessagesWithoutANameAreNotOne(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) { s.Webhook = "bearer" })
	for range 2 {
		wantOK(t, "a message", h.post("same", "Authorization: Bearer "+secret))
	}
	h.AwaitData("in", []string{"same", "same"})
}

func TestFormsOfGitHub(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) { s.Webhook, s.Type = "github", "{property.content-type}" })
	body := url.Values{"payload": {`{"a":"ü&="}`}}.Encode()
	form := "Content-Type: application/x-www-form-urlencoded; charset=utf-8"
	wantOK(t, "a form", h.post(body, append(asGitHub("1", "push", body), form)...))
	if e := h.Entries("in"); len(e) != 1 || string(e[0].Data) != `{"a":"ü&="}` || e[0].Type != "application/json" {
		t.Errorf("stored is %q", h.Data("in"))
	}
	for _, body := range []string{"a=b", "payload=%zz", ""} {
		if a := h.post(body, append(asGitHub("2", "push", body), form)...); a.status != 400 || a.Code != "bad_body" || !strings.Contains(a.Detail, "application/json") {
			t.Errorf("the form %q: %v", body, a)
		}
	}
	if a := h.post(body, form); a.status != http.StatusUnauthorized {
		t.Errorf("a form that is not signed: %v", a)
	}
}

// TestNoSecretIsShown looks for what senders prove themselves with in a dead letter.
func TestNoSecretIsShown(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) { s.Webhook, s.Topic = "bearer", "in/{header.authorization}" })
	a := h.post("x", "Authorization: Bearer "+secret, "Cookie: hush", "X-Hub-Signature: hush", "X-Gitlab-Token: hush", "Proxy-Authorization: hush", "X-Api-Key: hush", "X-Request-Id: 17")
	if a.status != http.StatusUnprocessableEntity {
		t.Fatalf("the answer is %v, want 422", a)
	}
	dead := h.Data("dead")
	if len(dead) != 1 || !strings.Contains(dead[0], `"x-request-id":"17"`) || strings.Contains(dead[0], "hush") || strings.Contains(dead[0], secret[10:]) {
		t.Errorf("dead letters: %s", dead)
	}
}

func TestDeadLettersAreTold(t *testing.T) {
	for _, dead := range []string{"dead", ""} {
		h := newHook(t, func(s *feed.Spec) { s.Webhook, s.Topic, s.DeadLetter = "open", "in/{json.user}", dead })
		for i, c := range []struct{ body, want string }{
			{`{}`, "topic: {json.user}: the message has none"},
			{`x`, "the body is not JSON"},
			{`{"user":"a/b"}`, "would be more than a segment"},
		} {
			a := h.post(c.body)
			if a.status != http.StatusUnprocessableEntity || a.Code != "dead_letter" || !strings.Contains(a.Detail, c.want) {
				t.Errorf("%s: %v, want 422 with %q", c.body, a, c.want)
			}
			if s := h.Stats(); s.Dead+s.Dropped != int64(i+1) || (s.Dead > 0) != (dead != "") {
				t.Errorf("%s: Stats() = %+v", c.body, s)
			}
		}
		wantOK(t, "one that is fine", h.post(`{"user":"ann"}`))
	}
}

func TestRequestsThatAreNoMessages(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) { s.Webhook, s.MaxBytes = "open", 1000 })
	large, chunked := strings.Repeat("x", 1001), struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 1001))}
	for _, c := range []struct {
		name, method string
		body         io.Reader
		header       string
		status       int
		detail       string
	}{
		{"GET", "GET", nil, "", 405, "possible are POST, OPTIONS"},
		{"HEAD", "HEAD", nil, "", 405, ""},
		{"PUT", "PUT", strings.NewReader("x"), "", 405, `method "PUT"`},
		{"OPTIONS", "OPTIONS", nil, "", 204, ""},
		{"compressed", "POST", strings.NewReader("x"), "Content-Encoding: gzip", 415, `Content-Encoding is "gzip"`},
		{"large", "POST", strings.NewReader(large), "", 413, "message is 1001 bytes, limit 1000"},
		{"large, in chunks", "POST", chunked, "", 413, "message is more than 1000 bytes, the limit"},
	} {
		a, err := ask(h.client, c.method, h.url, c.body, c.header)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if a.status != c.status || !strings.Contains(a.Detail, c.detail) || c.status == 413 && a.Limit != 1000 {
			t.Errorf("%s: %v, want %d with %q", c.name, a, c.status, c.detail)
		}
		if allow := a.header.Get("Allow"); (allow == "POST, OPTIONS") != (c.status == 405 || c.status == 204) {
			t.Errorf("%s: Allow is %q", c.name, allow)
		}
	}
	wantOK(t, "the largest", h.post(large[:1000]))
	h.AwaitData("in", []string{large[:1000]})
}

func TestForgeriesAreNotStored(t *testing.T) {
	h := newHook(t, nil)
	for name, header := range map[string][]string{
		"nothing":                nil,
		"another secret":         signedAs("whsec_b3RoZXI=", "1", "x", time.Now()),
		"another body":           signed("1", "y"),
		"a replay of 10 minutes": signedAs(secret, "1", "x", time.Now().Add(-10*time.Minute)),
		"two IDs":                append([]string{"webhook-id: 2"}, signed("1", "x")...),
	} {
		if a := h.post("x", header...); a.status != 401 || a.Code != "bad_signature" || a.header.Get("WWW-Authenticate") != `Webhook scheme="standard"` {
			t.Errorf("%s: %v, want 401", name, a)
		}
	}
	// A head of a MiB never gets as far; what a server lets through must not cost much.
	if a := h.post("x", "webhook-id: "+strings.Repeat("a", 60_000), "webhook-timestamp: 1", "webhook-signature: "+strings.Repeat("v1,AAAA ", 9_000)); a.status != 401 || len(a.body) > 500 {
		t.Errorf("huge headers: %.1000v", a)
	}
	if s := h.Stats(); len(h.Data("**")) != 0 || s.Received != 0 {
		t.Errorf("the log has %q", h.Data("**"))
	}
}

func TestSecretsChangeWhileItRuns(t *testing.T) {
	h := newHook(t, nil)
	next := "whsec_YW5vdGhlciBzZWNyZXQsIGEgbG9uZ2VyIG9uZQ=="
	status := func(secret string) int {
		a := h.post("x", signedAs(secret, rnd(), "x", time.Now())...)
		return a.status
	}
	for _, c := range []struct {
		file     string // "": there is none
		old, new int
	}{{secret, 200, 401}, {secret + "\n" + next, 200, 200}, {next, 401, 200}, {"", 503, 503}, {" ", 503, 503}, {secret, 200, 401}} {
		if c.file == "" {
			if err := os.Remove(h.spec.SecretFile); err != nil {
				t.Fatal(err)
			}
		} else {
			h.write(c.file)
		}
		if a, b := status(secret), status(next); a != c.old || b != c.new {
			t.Errorf("with %q: %d, %d, want %d, %d", c.file, a, b, c.old, c.new)
		}
		if c.old != 503 {
			h.AwaitState(feed.Running)
			continue
		}
		h.AwaitState(feed.Failing)
		feedtest.Await(t, "the reason", func() error {
			s := h.Stats()
			return feedtest.Not(strings.Contains(s.Error, "secret-file: ") && strings.Contains(s.Error, h.spec.SecretFile), "%+v", s)
		})
	}
}

var names atomic.Int64

// rnd returns another name each time.
func rnd() string { return fmt.Sprint("n", names.Add(1)) }

// TestSendersAreToldWhileTheLogRefuses has messages without a name, so that one which
// were stored after a refusal would be there twice.
func TestSendersAreToldWhileTheLogRefuses(t *testing.T) {
	t.Parallel()
	h := newHook(t, func(s *feed.Spec) { s.Webhook = "open" })
	h.Log.Full.Store(true)
	begin := time.Now()
	var group sync.WaitGroup
	for i := range 300 {
		group.Go(func() {
			a, err := h.try(strings.NewReader(fmt.Sprint(i)))
			if err != nil || a.status != 503 || a.Code != "unavailable" || a.header.Get("Retry-After") != "10" {
				t.Errorf("message %d: %v, %v", i, a, err)
			}
		})
	}
	h.AwaitState(feed.Failing)
	group.Wait()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the answers took %v, GitHub waits for 10 s", took)
	}
	if s := h.Stats(); s.State != feed.Failing || !strings.Contains(s.Error, "full") {
		t.Errorf("Stats() = %+v", s)
	}
	h.Log.Full.Store(false)
	for i := range 300 {
		wantOK(t, "sent again", h.post(fmt.Sprint(i)))
	}
	h.AwaitData("in", feedtest.Numbers(0, 300))
	h.AwaitState(feed.Running)
}

// TestManyAtOnceAreBounded sends 3000 messages at once while the log takes nothing.
func TestManyAtOnceAreBounded(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Hold = make(chan struct{})
	h := newHookOn(t, bed, func(s *feed.Spec) { s.Webhook = "open" })
	const all, stay = 3000, 1024 + feed.MaxBatch
	var taken, refused, late atomic.Int64
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			a, err := h.try(strings.NewReader(fmt.Sprint(i)))
			switch {
			case err == nil && a.status == 200:
				taken.Add(1)
			case err == nil && a.status == 503 && a.Code == "overloaded" && a.Limit == 1024 && a.header.Get("Retry-After") == "1":
				refused.Add(1)
			case err == nil && a.status == 503 && a.Code == "unavailable":
				late.Add(1) // this machine was busy for longer than the log has
			default:
				t.Errorf("message %d: %v, %v", i, a, err)
			}
		})
	}
	feedtest.Await(t, "refusals", func() error {
		return feedtest.Not(refused.Load()+late.Load() >= all-stay, "%d refused, %d late, %d taken", refused.Load(), late.Load(), taken.Load())
	})
	if taken.Load() > 0 {
		t.Errorf("%d were answered that the log does not have", taken.Load())
	}
	close(bed.Log.Hold)
	group.Wait()
	got := bed.Data("in")
	if stuck := int64(len(got)) - taken.Load(); stuck < 0 || stuck > min(late.Load(), feed.MaxBatch) || refused.Load() == 0 || len(got) == 0 {
		t.Errorf("the log has %d messages, %d were taken, %d refused, %d late", len(got), taken.Load(), refused.Load(), late.Load())
	}
	if once := slices.Compact(slices.Sorted(slices.Values(got))); len(once) != len(got) {
		t.Errorf("%d messages are there twice", len(got)-len(once))
	}
}

// TestAStuckLogHoldsUpNobody has a log that does not even refuse. What is given up must
// not be stored later, but for what the log is busy with.
func TestAStuckLogHoldsUpNobody(t *testing.T) {
	t.Parallel()
	bed := feedtest.New(t)
	bed.Log.Hold = make(chan struct{})
	h := newHookOn(t, bed, func(s *feed.Spec) { s.Webhook = "open" })
	begin := time.Now()
	var group sync.WaitGroup
	send := func(body string) {
		group.Go(func() {
			if a, err := h.try(strings.NewReader(body)); err != nil || a.status != 503 || a.Code != "unavailable" {
				t.Errorf("%s: %v, %v", body, a, err)
			}
		})
	}
	send("first")
	feedtest.Await(t, "the first to arrive", func() error { return feedtest.Not(h.Stats().Received == 1, "%+v", h.Stats()) })
	for range 500 {
		send("other")
	}
	group.Wait()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("the answers took %v", took)
	}
	close(bed.Log.Hold)
	wantOK(t, "one that comes later", h.post("last"))
	h.AwaitData("in", []string{"first", "last"})
}

// TestBodiesAreBounded has senders that send a MiB each but for its end. Those that
// announce as much and send nothing are nobody's trouble.
func TestBodiesAreBounded(t *testing.T) {
	h := newHook(t, func(s *feed.Spec) { s.Webhook = "open" })
	body := make([]byte, 1<<20-1)
	var group sync.WaitGroup
	var refused, accepted atomic.Int64
	begin := func(text []byte) *slow {
		s := newSlow(text)
		group.Go(func() {
			a, err := h.try(s)
			switch {
			case err != nil:
				accepted.Add(1) // until its sender gave up
			case a.status == 503 && a.Code == "overloaded" && a.Limit == 64<<20:
				refused.Add(1)
			default:
				t.Errorf("%v", a)
			}
		})
		return s
	}
	var silent, loud []*slow
	for range 300 {
		silent = append(silent, begin(nil))
	}
	for range 80 {
		loud = append(loud, begin(body))
	}
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(refused.Load() >= 16, "%d", refused.Load()) })
	for _, s := range append(silent, loud...) {
		close(s.end)
	}
	group.Wait()
	if accepted.Load() < 300+50 {
		t.Errorf("%d were not refused, want those that send nothing, and more than 50 others", accepted.Load())
	}
	feedtest.Await(t, "room", func() error {
		a, err := h.try(strings.NewReader(strings.Repeat("x", 1<<20)))
		if err == nil {
			err = feedtest.Not(a.status == 200, "%v", a)
		}
		return err
	})
	if got := h.Data("in"); len(got) != 1 {
		t.Errorf("the log has %d messages", len(got))
	}
}

func TestSlowBodiesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHook(t, func(s *feed.Spec) { s.Webhook = "open" })
	s := newSlow([]byte("x"))
	defer close(s.end)
	a, err := h.try(s)
	if err != nil || a.status != http.StatusRequestTimeout || !strings.Contains(a.Detail, "more than 5s") {
		t.Errorf("%v, %v", a, err)
	}
}

// TestConnectionCutBeforeTheAnswer has the sender send everything again.
func TestConnectionCutBeforeTheAnswer(t *testing.T) {
	h := newHook(t, nil)
	relay := feedtest.NewRelay(t, strings.TrimPrefix(h.url, "http://"))
	h.url = "http://" + relay.Addr()
	h.Log.Full.Store(true)
	var group sync.WaitGroup
	failed := atomic.Int64{}
	for i := range 50 {
		group.Go(func() {
			body := fmt.Sprint(i)
			if a, err := h.try(strings.NewReader(body), signed(body, body)...); err != nil || a.status != 200 {
				failed.Add(1)
				h.send(body, body)
			}
		})
	}
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(h.Log.Refused.Load() > 0, "none") })
	h.Log.Stored = func() { relay.Cut() }
	h.Log.Full.Store(false)
	group.Wait()
	got := slices.Sorted(slices.Values(h.Data("in")))
	if want := slices.Sorted(slices.Values(feedtest.Numbers(0, 50))); !slices.Equal(got, want) {
		t.Errorf("the log has %q", got)
	}
	if s := h.Stats(); failed.Load() == 0 || s.Duplicates == 0 || s.Published != 50 {
		t.Errorf("%d were sent again, Stats() = %+v", failed.Load(), s)
	}
}

// TestStopAnswersWhatIsUnderWay stops the feed while messages flow that have no name:
// one that was refused and stored, or taken and not stored, would show.
func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	bed := feedtest.New(t)
	var mu sync.Mutex
	var taken []string
	refused := 0
	flow := func(h *hook) { // until the first refusal
		for {
			body := rnd()
			a, err := h.try(strings.NewReader(body))
			mu.Lock()
			switch {
			case err == nil && a.status == 200:
				taken = append(taken, body)
			case err == nil && a.status == 503:
				refused++
			default:
				t.Errorf("%v, %v", a, err)
			}
			mu.Unlock()
			if err != nil || a.status != 200 {
				return
			}
		}
	}
	for range 3 {
		h := newHookOn(t, bed, func(s *feed.Spec) { s.Webhook = "open" })
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { flow(h) })
		}
		before := len(bed.Data("in"))
		feedtest.Await(t, "messages", func() error { return feedtest.Not(len(bed.Data("in")) > before+300, "%d", len(bed.Data("in"))) })
		h.Stop()
		group.Wait()
	}
	if got := bed.Data("in"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(taken))) || refused != 60 {
		t.Errorf("the log has %d messages, %d were taken, %d refused", len(got), len(taken), refused)
	}
}

// TestStopStoresWhatWaits stops the feed while the log is busy with the first message and
// others wait, each large enough to be stored alone.
func TestStopStoresWhatWaits(t *testing.T) {
	bed := feedtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	bed.Log.Hold, bed.Log.Stored = make(chan struct{}), cancel
	h := &hook{Bed: bed, t: t, spec: feed.Spec{Name: "test", Webhook: "open", Topic: "in"}}
	source := webhook.New(h.spec)
	h.serve(source)
	f, err := feed.New(feed.Options{Spec: h.spec, Source: source, Hub: bed.Hub})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { f.Run(ctx) })
	feedtest.Await(t, "the start", func() error { return feedtest.Not(f.Stats().State == feed.Running, "%+v", f.Stats()) })
	large := strings.Repeat("x", 1<<20)
	for range 12 {
		group.Go(func() {
			if a, err := h.try(strings.NewReader(large)); err != nil || a.status != 200 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	feedtest.Await(t, "11 to wait", func() error { return feedtest.Not(source.Waiting() == 11, "%d wait", source.Waiting()) })
	close(bed.Log.Hold)
	group.Wait()
	if got := bed.Data("in"); len(got) != 12 {
		t.Errorf("the log has %d messages, want 12", len(got))
	}
	if a := h.post("late"); a.status != 503 || a.Code != "unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("a message after the stop: %v", a)
	}
}
