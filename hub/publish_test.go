package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// newHub returns a hub without a server.
func newHub(t testing.TB, o hub.Options) *hub.Hub {
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestBadMessagesAreRefusedAndNotStored wants the kind of error, and the value and
// the limit in its text.
func TestBadMessagesAreRefusedAndNotStored(t *testing.T) {
	h := newHub(t, hub.Options{MaxBytes: 100, MaxTopics: 3})
	a := []string{"a"}
	for _, test := range []struct {
		message hub.Message
		is      error
		says    string
	}{
		{hub.Message{}, hub.ErrTopic, "needs one"},
		{hub.Message{Topics: []string{"a", "b", "c", "d"}}, hub.ErrTooLarge, "4 topics, limit 3"},
		{hub.Message{Topics: []string{"a", ""}}, hub.ErrTopic, `""`},
		{hub.Message{Topics: []string{"a/*"}}, hub.ErrTopic, `"a/*"`},
		{hub.Message{Topics: []string{"/a"}}, hub.ErrTopic, `"/a"`},
		{hub.Message{Topics: []string{strings.Repeat("x", 256)}}, hub.ErrTopic, "256 bytes, limit 255"},
		{hub.Message{Topics: a, Data: make([]byte, 101)}, hub.ErrTooLarge, "101 bytes, limit 100"},
		{hub.Message{Topics: a, ID: "a\nb"}, hub.ErrID, `"a\nb"`},
		{hub.Message{Topics: a, ID: "a\x00"}, hub.ErrID, `"a\x00"`},
		{hub.Message{Topics: a, ID: "abcdefgh-17"}, hub.ErrID, `"abcdefgh-17"`},
		{hub.Message{Topics: a, Type: "a\r"}, hub.ErrType, `"a\r"`},
		{hub.Message{Topics: a, Type: "\xff"}, hub.ErrType, `"\xff"`},
		{hub.Message{Topics: a, Retry: -time.Second}, hub.ErrType, "-1s, at least 0"},
		{hub.Message{Topics: a, ID: strings.Repeat("i", 500), Type: strings.Repeat("t", 500), Key: strings.Repeat("k", 25)}, hub.ErrTooLarge, "1025 bytes, limit 1024"},
	} {
		id, err := h.Publish(context.Background(), test.message)
		if !errors.Is(err, test.is) || id != "" || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("publish %+.100v: %q, %v; want an error that is %q and says %q", test.message, id, err, test.is, test.says)
		}
		good := hub.Message{Topics: a, Data: []byte("good")}
		if ids, err := h.PublishAll(context.Background(), good, test.message, good); !errors.Is(err, test.is) || ids != nil {
			t.Errorf("publish it between others: %q, %v; want %q", ids, err, test.is)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Publish(canceled, hub.Message{Topics: a}); !errors.Is(err, context.Canceled) {
		t.Errorf("publish with an ended context: %v, want %v", err, context.Canceled)
	}
	if h.Log().Head() != 0 || h.Stats().Published != 0 {
		t.Errorf("the log's head is %d, %d published; want nothing stored", h.Log().Head(), h.Stats().Published)
	}
}

// TestLimitErrorHasTheNumbers that its text has.
func TestLimitErrorHasTheNumbers(t *testing.T) {
	h := newHub(t, hub.Options{MaxBytes: 100, MaxTopics: 3})
	a := []string{"a"}
	for _, test := range []struct {
		message      hub.Message
		value, limit int
		text         string
	}{
		{hub.Message{Topics: []string{"a", "b", "c", "d"}}, 4, 3, "hub: too large: message has 4 topics, limit 3"},
		{hub.Message{Topics: a, Data: make([]byte, 101)}, 101, 100, "hub: too large: message is 101 bytes, limit 100"},
		{hub.Message{Topics: a, Type: strings.Repeat("t", 1000), IdempotencyKey: strings.Repeat("k", 25)}, 1025, 1024,
			"hub: too large: ID, type, key and idempotency key have 1025 bytes, limit 1024"},
	} {
		err := h.Check(test.message)
		e, ok := errors.AsType[*hub.LimitError](err)
		if !ok || e.Value != test.value || e.Limit != test.limit || err.Error() != test.text {
			t.Errorf("%+.100v: %+v, want %d, limit %d, and the text %q", test.message, err, test.value, test.limit, test.text)
		}
		if !errors.Is(err, hub.ErrTooLarge) || errors.Is(err, hub.ErrTopic) {
			t.Errorf("%v: want an ErrTooLarge and nothing else", err)
		}
	}
}

// TestLargestMessagesAreAccepted stays just within each limit.
func TestLargestMessagesAreAccepted(t *testing.T) {
	h := newHub(t, hub.Options{MaxBytes: 100, MaxTopics: 3})
	for _, m := range []hub.Message{
		{Topics: []string{"a", "b", "c"}},
		{Topics: []string{strings.Repeat("x", 255)}, Data: make([]byte, 100)},
		{Topics: []string{"a"}, ID: strings.Repeat("i", 500), Type: strings.Repeat("t", 500), Key: strings.Repeat("k", 24)},
		{Topics: []string{"a"}, ID: "abcdefg-17", Key: "any\nthing", Retry: time.Hour},
	} {
		if _, err := h.Publish(context.Background(), m); err != nil {
			t.Errorf("publish %+.100v: %v", m, err)
		}
	}
}

func TestPublishAllTakesConsecutivePositions(t *testing.T) {
	h := newHub(t, hub.Options{})
	ids, err := h.PublishAll(context.Background(),
		hub.Message{Topics: []string{"a"}}, hub.Message{Topics: []string{"b"}, ID: "own"}, hub.Message{Topics: []string{"a"}})
	epoch := h.Log().Epoch()
	if want := fmt.Sprint([]string{epoch + "-1", "own", epoch + "-3"}); err != nil || fmt.Sprint(ids) != want {
		t.Errorf("got %v, %v; want %v", ids, err, want)
	}
	if ids, err := h.PublishAll(context.Background()); len(ids) != 0 || err != nil {
		t.Errorf("publish nothing: %v, %v", ids, err)
	}
	if n := h.Stats().Published; n != 3 {
		t.Errorf("%d published, want 3", n)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	for says, o := range map[string]hub.Options{
		"MaxBytes is -1":                 {MaxBytes: -1},
		"MaxTopics -2":                   {MaxTopics: -2},
		"Options.Default.MaxAge is -1ns": {History: hub.History{Default: hub.Retention{MaxAge: -1}}},
		`Options.Rules[0].Pattern`:       {History: hub.History{Rules: []hub.Rule{{Pattern: "**/a"}}}},
	} {
		if h, err := hub.New(o); err == nil || h != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("new hub: %v, %v; want an error that says %q", h, err, says)
		}
	}
	o := hub.Options{}
	o.Stream.Buffer = 1
	if h, err := hub.New(o); err == nil || h != nil {
		t.Errorf("new hub with a send buffer of 1 byte: %v, %v; want an error", h, err)
	}
}

func TestWordsOfPolicies(t *testing.T) {
	for _, p := range []hub.Policy{hub.Diff, hub.All, hub.Reset} {
		if got, err := hub.ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, got, err)
		}
	}
	for _, p := range []hub.SlowPolicy{hub.CatchUp, hub.Latest, hub.Cut} {
		if got, err := hub.ParseSlow(p.String()); got != p || err != nil {
			t.Errorf("ParseSlow(%q) = %v, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "Diff", "nothing"} {
		if _, err := hub.ParsePolicy(s); err == nil || err.Error() != fmt.Sprintf("policy is %q: want diff, all, reset", s) {
			t.Errorf("ParsePolicy(%q): %v", s, err)
		}
		if _, err := hub.ParseSlow(s); err == nil || err.Error() != fmt.Sprintf("slow is %q: want catch-up, latest, close", s) {
			t.Errorf("ParseSlow(%q): %v", s, err)
		}
	}
}
