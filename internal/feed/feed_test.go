package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A queue is a source that delivers again what was not acknowledged.
type queue struct {
	batch    int           // messages delivered together
	position []byte        // handed over with each batch
	wake     chan struct{} // capacity 1: there is something new, or to fail with

	mu       sync.Mutex
	messages []feed.Message // guarded by mu: not acknowledged
	acked    int            // guarded by mu
	runs     int            // guarded by mu
	fail     error          // guarded by mu: Run returns it once
}

func newQueue(messages ...feed.Message) *queue {
	return &queue{batch: 1, messages: messages, wake: make(chan struct{}, 1)}
}

func (q *queue) Run(ctx context.Context, in *feed.Intake) error {
	q.mu.Lock()
	q.runs++
	q.mu.Unlock()
	in.Running()
	for {
		batch, err := q.next()
		switch {
		case err != nil:
			return err
		case len(batch) == 0:
			select {
			case <-q.wake:
			case <-ctx.Done():
				return nil
			}
			continue
		}
		if err := in.Deliver(ctx, batch, q.position); err != nil {
			return err
		}
		q.ack(len(batch))
	}
}

func (q *queue) next() ([]feed.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.fail
	q.fail = nil
	return slices.Clone(q.messages[:min(q.batch, len(q.messages))]), err
}

func (q *queue) ack(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = q.messages[n:]
	q.acked += n
}

func (q *queue) acknowledged() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked
}

func (q *queue) push(err error, messages ...feed.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
	q.messages = append(q.messages, messages...)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func bodies(texts ...string) []feed.Message {
	var ms []feed.Message
	for i, text := range texts {
		ms = append(ms, feed.Message{Body: []byte(text), ID: fmt.Sprint("m", i), Key: "k" + text})
	}
	return ms
}

func spec(change func(s *feed.Spec)) feed.Spec {
	s := feed.Spec{Name: "test", Command: "true", Topic: "in/{key}", DeadLetter: "dead"}
	if change != nil {
		change(&s)
	}
	return s
}

func TestMessagesArriveInOrder(t *testing.T) {
	for _, size := range []int{1, 7} {
		t.Run(fmt.Sprint("batch=", size), func(t *testing.T) {
			bed := feedtest.New(t)
			want := feedtest.Numbers(0, 50)
			q := newQueue(bodies(want...)...)
			q.batch = size
			r := bed.Start(feed.Options{Spec: spec(nil), Source: q})
			bed.AwaitData("in/*", want)
			feedtest.Await(t, "acknowledgement", func() error { return feedtest.Not(q.acknowledged() == 50, "%d", q.acknowledged()) })
			if s := r.Stats(); s.Received != 50 || s.Published != 50 || s.Dead+s.Duplicates+s.Dropped+s.Failures != 0 || s.State != feed.Running || s.Lag != -1 {
				t.Errorf("Stats() = %+v", s)
			}
			if e := bed.Entries("in/*")[3]; e.Topics[0] != "in/k3" || e.IdempotencyKey != "feed/test/m3" {
				t.Errorf("number 3 is %v with key %q, want in/k3 with feed/test/m3", e.Topics, e.IdempotencyKey)
			}
		})
	}
}

func TestNothingIsAcknowledgedWhileTheLogRefuses(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Full.Store(true)
	q := newQueue(bodies("a", "b", "c")...)
	q.batch = 2
	var log proctest.Transcript
	r := bed.Start(feed.Options{Spec: spec(nil), Source: q, Log: slog.New(slog.NewTextHandler(&log, nil))})
	feedtest.Await(t, "three refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() >= 3, "%d", bed.Log.Refused.Load()) })
	if s := r.Stats(); q.acknowledged() != 0 || s.Published != 0 || s.State != feed.Failing || !strings.Contains(s.Error, "full") || s.Failures != 1 {
		t.Errorf("%d acknowledged, Stats() = %+v", q.acknowledged(), s)
	}
	bed.Log.Full.Store(false)
	bed.AwaitData("in/*", []string{"a", "b", "c"})
	r.AwaitState(feed.Running)
	r.Stop()
	if s := r.Stats(); q.acknowledged() != 3 || s.Published != 3 || s.Duplicates != 0 || s.State != feed.Stopped || s.Error != "" {
		t.Errorf("%d acknowledged, Stats() = %+v", q.acknowledged(), s)
	}
	if text := log.String(); strings.Count(text, "feed failing") != 1 || strings.Count(text, "feed running") != 2 {
		t.Errorf("log, want a line for each change:\n%s", text)
	}
}

func TestStopWhileTheLogRefusesAcknowledgesNothing(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Full.Store(true)
	q := newQueue(bodies("a")...)
	r := bed.Start(feed.Options{Spec: spec(nil), Source: q})
	r.AwaitState(feed.Failing)
	start := time.Now()
	r.Stop()
	if took := time.Since(start); took > 3*time.Second || q.acknowledged() != 0 {
		t.Errorf("stopped after %v with %d acknowledged", took, q.acknowledged())
	}
}

func TestRefuseHoldsBack(t *testing.T) {
	bed := feedtest.New(t)
	reason := make(chan error, 1)
	reason <- errors.New("no memory")
	q := newQueue(bodies("a")...)
	bed.Start(feed.Options{Spec: spec(nil), Source: q, Refuse: func() error {
		select {
		case err := <-reason:
			return err
		default:
			return nil
		}
	}})
	bed.AwaitData("in/*", []string{"a"})
	if bed.Log.Refused.Load() != 0 {
		t.Error("the log was asked")
	}
}

func TestDeliveredAgainIsOneMessage(t *testing.T) {
	bed := feedtest.New(t)
	m := bodies("a", "b")
	q := newQueue(m[0], m[1], m[0], m[1], feed.Message{Body: []byte("a"), Key: "ka"}, feed.Message{Body: []byte("a"), Key: "ka"})
	q.batch = 3
	r := bed.Start(feed.Options{Spec: spec(nil), Source: q})
	bed.AwaitData("in/*", []string{"a", "b", "a", "a"}) // those without a name are two
	feedtest.Await(t, "counts", func() error {
		s := r.Stats()
		return feedtest.Not(s.Duplicates == 2 && s.Published == 4 && s.Received == 6, "%+v", s)
	})
}

func TestOnceNamesMessages(t *testing.T) {
	bed := feedtest.New(t)
	q := newQueue(
		feed.Message{Body: []byte(`{"id":1,"n":1}`)}, feed.Message{Body: []byte(`{"id":2,"n":2}`)}, feed.Message{Body: []byte(`{"id":1,"n":3}`)},
		feed.Message{Body: []byte(`{"n":4}`)})
	r := bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic, s.Once, s.Data = "in", "{json.id}", "{json.n}" }), Source: q})
	bed.AwaitData("in", []string{"1", "2"})
	feedtest.Await(t, "dead letter", func() error { return feedtest.Not(r.Stats().Dead == 1, "%+v", r.Stats()) })
}

// TestUnsureNamesAll stores a batch and then says that it did not.
func TestUnsureNamesAll(t *testing.T) {
	bed := feedtest.New(t)
	q := newQueue(feed.Message{Body: []byte("a")}, feed.Message{Body: []byte("a")})
	bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic = "in" }), Source: q, Unsure: true})
	bed.AwaitData("in", []string{"a", "a"})
	es := bed.Entries("in")
	if es[0].IdempotencyKey == "" || es[0].IdempotencyKey == es[1].IdempotencyKey {
		t.Errorf("keys are %q and %q", es[0].IdempotencyKey, es[1].IdempotencyKey)
	}
}

func TestPoisonDoesNotHoldUpTheOthers(t *testing.T) {
	large := strings.Repeat("x", 1<<20+1)
	for _, c := range []struct {
		name    string
		message feed.Message
		reason  string
	}{
		{"no field", feed.Message{Body: []byte(`{"a":1}`), ID: "x"}, "topic: {json.t}: the message has none"},
		{"no JSON", feed.Message{Body: []byte("{"), ID: "x"}, "topic: {json.t}: the body is not JSON"},
		{"slash", feed.Message{Body: []byte(`{"t":"a/b"}`)}, "would be more than a segment"},
		{"dots", feed.Message{Body: []byte(`{"t":".."}`)}, `segment ".."`},
		{"empty", feed.Message{Body: []byte(`{"t":""}`)}, "empty segment"},
		{"object", feed.Message{Body: []byte(`{"t":{}}`)}, "no plain value"},
		{"star", feed.Message{Body: []byte(`{"t":"*"}`)}, `"*" in a name`},
		{"long", feed.Message{Body: []byte(`{"t":"` + strings.Repeat("x", 300) + `"}`)}, "limit 255"},
		{"large", feed.Message{Body: []byte(`{"t":"x","y":"` + large + `"}`)}, "limit 1048576"},
		{"fault", feed.Message{Body: []byte("\xff"), Fault: errors.New("broken")}, "broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bed := feedtest.New(t)
			good := func(n int) feed.Message { return feed.Message{Body: fmt.Appendf(nil, `{"t":"ok","n":%d}`, n)} }
			q := newQueue(good(1), c.message, good(2))
			q.batch = 3
			r := bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic = "in/{json.t}/x" }), Source: q})
			bed.AwaitData("in/**", []string{`{"t":"ok","n":1}`, `{"t":"ok","n":2}`})
			var l struct {
				Feed, Reason, Data string
				Bytes              int
				Base64             bool
			}
			dead := bed.Entries("dead")
			if len(dead) != 1 || json.Unmarshal(dead[0].Data, &l) != nil {
				t.Fatalf("dead letters: %d", len(dead))
			}
			if l.Feed != "test" || !strings.Contains(l.Reason, c.reason) || l.Bytes != len(c.message.Body) || l.Base64 != (c.name == "fault") || l.Base64 == strings.HasPrefix(string(c.message.Body), l.Data) {
				t.Errorf("dead letter is %.300s, want the reason %q", dead[0].Data, c.reason)
			}
			if dead[0].Type != "dead-letter" || dead[0].Seq != 2 {
				t.Errorf("dead letter has the type %q and the position %d", dead[0].Type, dead[0].Seq)
			}
			feedtest.Await(t, "acknowledgement", func() error { return feedtest.Not(q.acknowledged() == 3, "%d", q.acknowledged()) })
			if s := r.Stats(); s.Dead != 1 || s.Published != 2 || s.Dropped != 0 {
				t.Errorf("Stats() = %+v", s)
			}
		})
	}
}

func TestPoisonIsDroppedWithoutADeadLetterTopic(t *testing.T) {
	bed := feedtest.New(t)
	var log proctest.Transcript
	q := newQueue(feed.Message{Body: []byte("1")}, feed.Message{Body: []byte("2"), Key: "k"}, feed.Message{Body: []byte("3")})
	r := bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.DeadLetter = "" }), Source: q, Log: slog.New(slog.NewTextHandler(&log, nil))})
	bed.AwaitData("**", []string{"2"})
	feedtest.Await(t, "counts", func() error {
		s := r.Stats()
		return feedtest.Not(s.Dropped == 2 && s.Dead == 0 && q.acknowledged() == 3, "%+v", s)
	})
	if got := strings.Count(log.String(), "message dropped"); got != 1 || !strings.Contains(log.String(), "{key}: the message has none") {
		t.Errorf("%d lines, want 1 in ten seconds:\n%s", got, log.String())
	}
}

// TestReservedTopicsAreRefused tries to have a feed publish as the server.
func TestReservedTopicsAreRefused(t *testing.T) {
	bed := feedtest.New(t)
	q := newQueue(feed.Message{Body: []byte("1"), Key: "weir"}, feed.Message{Body: []byte("2"), Key: "ok"})
	bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic = "{key}/connections" }), Source: q})
	bed.AwaitData("ok/**", []string{"2"})
	if got := bed.Data("weir/**"); len(got) != 0 {
		t.Errorf("weir/ has %q", got)
	}
}

func TestPositionIsStoredWithTheMessages(t *testing.T) {
	bed := feedtest.New(t)
	q := newQueue(bodies("a")...)
	q.position = []byte("17")
	bed.Start(feed.Options{Spec: spec(nil), Source: q}).AwaitState(feed.Running)
	bed.AwaitData("in/*", []string{"a"})
	if got := bed.Hub.Log().Value("feed/test"); string(got) != "17" {
		t.Errorf("position is %q, want 17", got)
	}
}

func TestSourceIsRunAgainAndLoggedOncePerChange(t *testing.T) {
	bed := feedtest.New(t)
	var log proctest.Transcript
	q := newQueue(bodies("a")...)
	r := bed.Start(feed.Options{Spec: spec(nil), Source: q, Log: slog.New(slog.NewTextHandler(&log, nil))})
	bed.AwaitData("in/*", []string{"a"})
	q.push(errors.New("connection lost"))
	r.AwaitState(feed.Failing)
	if s := r.Stats(); s.Error != "connection lost" || s.Failures != 1 {
		t.Errorf("Stats() = %+v", s)
	}
	q.push(nil, feed.Message{Body: []byte("b"), Key: "kb", ID: "n"})
	bed.AwaitData("in/*", []string{"a", "b"})
	if q.runs != 2 || strings.Count(log.String(), "feed running") != 2 || strings.Count(log.String(), "feed failing") != 1 {
		t.Errorf("%d runs, log:\n%s", q.runs, log.String())
	}
}

// TestRunReturnsThoughTheSourceHangs has a source that waits for its Grace only.
func TestRunReturnsThoughTheSourceHangs(t *testing.T) {
	bed := feedtest.New(t)
	r := bed.Start(feed.Options{Spec: spec(nil), Source: hanging{}})
	r.AwaitState(feed.Running)
	r.Stop() // which has its own limit
}

type hanging struct{}

func (hanging) Run(_ context.Context, in *feed.Intake) error {
	in.Running()
	<-in.Grace().Done()
	return nil
}

// TestMessagesThatOnlyTheLogRefuses has a log that is stricter than the hub.
func TestMessagesThatOnlyTheLogRefuses(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Fault = func(e *eventlog.Entry) error {
		if strings.HasPrefix(string(e.Data), "bad") {
			return fmt.Errorf("%w: the test wants it so", eventlog.ErrTopic)
		}
		return nil
	}
	q := newQueue(bodies("a", "bad", "b", "bad2", "c")...)
	q.batch, q.position = 5, []byte("5")
	r := bed.Start(feed.Options{Spec: spec(nil), Source: q})
	bed.AwaitData("in/*", []string{"a", "b", "c"})
	feedtest.Await(t, "acknowledgement", func() error { return feedtest.Not(q.acknowledged() == 5, "%d", q.acknowledged()) })
	if s := r.Stats(); s.Dead != 2 || s.Published != 3 || len(bed.Data("dead")) != 2 || s.Failures != 0 {
		t.Errorf("%d dead letters, Stats() = %+v", len(bed.Data("dead")), s)
	}
	if got := bed.Hub.Log().Value("feed/test"); string(got) != "5" {
		t.Errorf("position is %q, want 5", got)
	}
}

// TestSourcesLearnWhatIsDead has letters that are found at once, by the log, and that the
// log refuses as letters, too.
func TestSourcesLearnWhatIsDead(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Fault = func(e *eventlog.Entry) error {
		if strings.Contains(string(e.Data), "bad") {
			return fmt.Errorf("%w: the test wants it so", eventlog.ErrTopic)
		}
		return nil
	}
	told := make(map[string]error) // read after the acknowledgement only
	messages := bodies("a", "bad", "b")
	messages = append(messages, feed.Message{Body: []byte("no key")})
	for i := range messages {
		messages[i].Dead = func(reason error) { told[string(messages[i].Body)] = reason }
	}
	q := newQueue(messages...)
	q.batch = 4
	bed.Start(feed.Options{Spec: spec(nil), Source: q})
	feedtest.Await(t, "acknowledgement", func() error { return feedtest.Not(q.acknowledged() == 4, "%d", q.acknowledged()) })
	if len(told) != 2 || !errors.Is(told["bad"], hub.ErrTopic) || !strings.Contains(fmt.Sprint(told["no key"]), "{key}: the message has none") {
		t.Errorf("told were %v", told)
	}
}
