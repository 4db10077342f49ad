package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/hub"
)

// collect follows sub until stop reports true for what came, and returns it in short:
// "id data", or "gap requested..after".
func collect(t *testing.T, h *hub.Hub, sub hub.Subscription, n int) (got []string) {
	t.Helper()
	for r, err := range h.Follow(context.Background(), sub) {
		if err != nil {
			t.Fatalf("follow %q: %v", sub.Topics, err)
		}
		if r.Gap != nil {
			got = append(got, fmt.Sprintf("gap %s %s..%d", r.Gap.Reason, r.Gap.Requested, r.Gap.After))
		} else {
			got = append(got, r.ID+" "+string(r.Data))
		}
		if len(got) == n {
			break
		}
	}
	return got
}

func TestFollowYieldsKeptAndNewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		id := func(seq int) string { return fmt.Sprintf("%s-%d", h.Log().Epoch(), seq) }
		for i := range 600 { // more than a page
			publish(t, h, hub.Message{Topics: []string{[]string{"a", "b", "c/d"}[i%3]}, Data: fmt.Append(nil, i)})
		}
		published := time.Now()
		done := make(chan []string)
		go func() {
			done <- collect(t, h, hub.Subscription{Topics: []string{"a", "c/*"}, From: hub.FromID(id(2))}, 400)
		}()
		time.Sleep(time.Minute)
		publish(t, h, hub.Message{Topics: []string{"b"}, Data: []byte("not followed")})
		publish(t, h, hub.Message{Topics: []string{"c/d", "a"}, ID: "own", Data: []byte("last")})
		var want []string
		for i := 2; i < 600; i++ {
			if i%3 != 1 {
				want = append(want, fmt.Sprintf("%s %d", id(i+1), i))
			}
		}
		if got := <-done; !slices.Equal(got, append(want, "own last")) {
			t.Errorf("got %d messages, the last of them %q; want %d", len(got), got[len(got)-1], len(want)+1)
		}
		for r := range h.Follow(context.Background(), hub.Subscription{Topics: []string{"**"}, From: hub.FromOldest()}) {
			if !r.Time.Equal(published) || r.Topics[0] != "a" || r.Message.ID != "" {
				t.Errorf("the first message is %+v, want one in a, published at %v", r, published)
			}
			break
		}
	})
}

func TestFollowTellsOfGaps(t *testing.T) {
	h := newHub(t, hub.Options{History: keep(3)})
	id := func(seq int) string { return fmt.Sprintf("%s-%d", h.Log().Epoch(), seq) }
	for i := range 10 {
		publish(t, h, hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, i+1)})
	}
	want := []string{"gap expired " + id(2) + "..7", id(8) + " 8", id(9) + " 9", id(10) + " 10"}
	if got := collect(t, h, hub.Subscription{Topics: []string{"a"}, From: hub.FromID(id(2))}, 4); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSlowFollowerIsToldWhatItMissed takes longer over the first message than the
// history lasts.
func TestSlowFollowerIsToldWhatItMissed(t *testing.T) {
	h := newHub(t, hub.Options{History: keep(3)})
	publishUpTo := func(n int) {
		for h.Log().Head() < uint64(n) {
			publish(t, h, hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, h.Log().Head()+1)})
		}
	}
	publishUpTo(10)
	var got []string
	for r, err := range h.Follow(context.Background(), hub.Subscription{Topics: []string{"a"}, From: hub.FromOldest()}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Gap != nil {
			got = append(got, fmt.Sprintf("gap %s %s..%d", r.Gap.Reason, strings.TrimPrefix(r.Gap.Requested, h.Log().Epoch()), r.Gap.After))
		} else {
			got = append(got, string(r.Data))
		}
		publishUpTo(15)
		if string(r.Data) == "15" {
			break
		}
	}
	if want := []string{"8", "9", "10", "gap slow -10..12", "13", "14", "15"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		errs := func(ctx context.Context, sub hub.Subscription) (errs []error) {
			for r, err := range h.Follow(ctx, sub) {
				if err == nil {
					t.Errorf("got %+v", r)
				}
				errs = append(errs, err)
			}
			return errs
		}
		a := hub.Subscription{Topics: []string{"a"}}
		canceled, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Hour, cancel)
		late, cancelLate := context.WithTimeout(context.Background(), 2*time.Hour)
		defer cancelLate()
		for _, ctx := range []context.Context{canceled, late} {
			if got := errs(ctx, a); len(got) != 0 {
				t.Errorf("context ended by %v: got %v, want no error", ctx.Err(), got)
			}
		}
		if got := errs(context.Background(), hub.Subscription{}); len(got) != 1 || !errors.Is(got[0], hub.ErrPattern) {
			t.Errorf("no topics: got %v, want %v", got, hub.ErrPattern)
		}
		time.AfterFunc(time.Hour, func() { h.Close() })
		for range 2 { // open, and closed already
			if got := errs(context.Background(), a); len(got) != 1 || !errors.Is(got[0], hub.ErrClosed) {
				t.Errorf("closed hub: got %v, want %v", got, hub.ErrClosed)
			}
		}
	})
}

func TestPollAnswersAtOnceWithWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		for i := range 3 {
			publish(t, h, hub.Message{Topics: []string{[]string{"a", "b"}[i%2]}, Data: fmt.Append(nil, i)})
		}
		start := time.Now()
		sub := hub.Subscription{Topics: []string{"a"}, Form: hub.Text, From: hub.FromOldest()}
		body, id, err := h.Poll(context.Background(), sub, time.Minute)
		if want := h.Log().Epoch() + "-3"; err != nil || string(body) != "0\n2\n" || id != want || time.Since(start) != 0 {
			t.Errorf("got %q, %q, %v after %v; want both messages and %q at once", body, id, err, time.Since(start), want)
		}
	})
}

// TestPollsThatFollowEachOtherLoseNothing passes on the ID of each answer, also of
// those without a message.
func TestPollsThatFollowEachOtherLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 50
		h := newHub(t, hub.Options{})
		go func() {
			for i := range messages {
				time.Sleep(time.Duration(i%7) * 400 * time.Millisecond)
				publish(t, h, hub.Message{Topics: []string{[]string{"a", "b"}[i%2]}, Data: fmt.Append(nil, i)})
				publish(t, h, hub.Message{Topics: []string{"not followed"}})
			}
		}()
		var got strings.Builder
		empty, start := 0, hub.FromNow()
		for strings.Count(got.String(), "\n") < messages {
			began := time.Now()
			body, id, err := h.Poll(context.Background(), hub.Subscription{Topics: []string{"a", "b"}, Form: hub.Text, From: start}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if len(body) == 0 {
				if empty++; time.Since(began) != time.Second {
					t.Errorf("an empty answer after %v, want 1s", time.Since(began))
				}
			}
			got.Write(body)
			start = hub.FromID(id)
		}
		var want strings.Builder
		for i := range messages {
			fmt.Fprintln(&want, i)
		}
		if got.String() != want.String() || empty == 0 {
			t.Errorf("got %q with %d empty answers, want 0 to %d and some", got.String(), empty, messages-1)
		}
	})
}

func TestPollTellsOfGaps(t *testing.T) {
	h := newHub(t, hub.Options{History: keep(2)})
	id := func(seq int) string { return fmt.Sprintf("%s-%d", h.Log().Epoch(), seq) }
	for i := range 5 {
		publish(t, h, hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, i)})
	}
	gap := gapEvent(id(3), hub.Gap{Reason: "expired", Requested: id(1), Oldest: id(4), Newest: id(5), Policy: "diff"})
	want := concat(gap, "id: "+id(4)+"\ndata: 3\n\n", "id: "+id(5)+"\ndata: 4\n\n")
	body, last, err := h.Poll(context.Background(), hub.Subscription{Topics: []string{"a"}, From: hub.FromID(id(1))}, time.Minute)
	if err != nil || string(body) != want || last != id(5) {
		t.Errorf("got %q, %q, %v\nwant %q, %q", body, last, err, want, id(5))
	}
	gap = gapEvent(id(5), hub.Gap{Reason: "unknown", Requested: "x", Oldest: id(4), Newest: id(5), Policy: "reset"})
	body, last, err = h.Poll(context.Background(), hub.Subscription{Topics: []string{"a"}, From: hub.FromID("x"), Policy: hub.Reset}, time.Minute)
	if err != nil || string(body) != gap || last != id(5) {
		t.Errorf("policy reset: got %q, %q, %v; want the notice alone, at once: %q", body, last, err, gap)
	}
}

// TestLargePollsComeInPieces has more than one answer may hold.
func TestLargePollsComeInPieces(t *testing.T) {
	h := newHub(t, hub.Options{})
	for i := range 2500 {
		publish(t, h, hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, i)})
	}
	start, got := hub.FromOldest(), 0
	for polls := 1; got < 2500; polls++ {
		body, id, err := h.Poll(context.Background(), hub.Subscription{Topics: []string{"a"}, From: start, Form: hub.Text}, 0)
		if err != nil || polls > 3 {
			t.Fatalf("poll %d: %v", polls, err)
		}
		for line := range strings.Lines(string(body)) {
			if line != fmt.Sprintln(got) {
				t.Fatalf("got %q, want %d", line, got)
			}
			got++
		}
		start = hub.FromID(id)
	}
}

func TestPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		a := hub.Subscription{Topics: []string{"a"}}
		if body, id, err := h.Poll(context.Background(), hub.Subscription{}, time.Hour); !errors.Is(err, hub.ErrPattern) {
			t.Errorf("no topics: %q, %q, %v", body, id, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if body, id, err := h.Poll(ctx, a, time.Hour); len(body) != 0 || id != h.Log().Epoch()+"-0" || err != nil {
			t.Errorf("context ended: %q, %q, %v; want an empty answer", body, id, err)
		}
		time.AfterFunc(time.Second, func() { h.Close() })
		for range 2 {
			if body, id, err := h.Poll(context.Background(), a, time.Hour); err != hub.ErrClosed {
				t.Errorf("closed hub: %q, %q, %v; want %v", body, id, err, hub.ErrClosed)
			}
		}
	})
}
