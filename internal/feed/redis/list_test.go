package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func aList(f *feed.Spec) { f.List = "jobs" }

const second = "{jobs}:weir:test:weir"

func (s *server) awaitEmpty(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		feedtest.Await(s.t, key, func() error {
			n := s.number("LLEN", key)
			return feedtest.Not(n == 0, "%d elements are left", n)
		})
	}
}

func TestListIsReadInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.push("jobs", 0, 1000)
	r := s.feed(bed, aList)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	s.push("jobs", 1000, 2000)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	s.awaitEmpty("jobs", second)
	if s := r.Stats(); s.Published != 2000 || s.Failures != 0 || s.Lag < 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestListIsReadFromTheRight(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.push("jobs", 0, 500)
	s.feed(bed, func(f *feed.Spec) { f.List, f.Pop = "jobs", "right" })
	want := feedtest.Numbers(0, 500)
	slices.Reverse(want)
	bed.AwaitData("in", want)
}

// TestListOverCutConnections loses answers of moves and removals.
func TestListOverCutConnections(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, s.Addr())
	r := s.feed(bed, func(f *feed.Spec) { f.List, f.From = "jobs", relayed(relay) })
	cut := 0
	for i := range 20 {
		s.push("jobs", i*200, (i+1)*200)
		if i%4 == 3 {
			r.AwaitState(feed.Running)
			some(t, bed, i*100)
			cut += min(relay.Cut(), 1)
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	s.awaitEmpty("jobs", second)
	if s := r.Stats(); cut < 3 || s.Failures < 3 {
		t.Errorf("%d cut, Stats() = %+v", cut, s)
	}
}

// TestListCutBeforeTheRemoval cuts between the log and Redis: the elements are found
// again, and known.
func TestListCutBeforeTheRemoval(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, s.Addr())
	bed.Log.Full.Store(true)
	s.push("jobs", 0, 100)
	r := s.feed(bed, func(f *feed.Spec) { f.List, f.From = "jobs", relayed(relay) })
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	awaitStats(t, r, "a failure", func(s feed.Stats) bool { return s.Failures >= 2 })
	s.push("jobs", 100, 200)
	bed.AwaitData("in", feedtest.Numbers(0, 200))
	s.awaitEmpty("jobs", second)
}

func TestListOverAKilledServer(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.push("jobs", 0, 5000)
	r := s.feed(bed, aList)
	some(t, bed, 1)
	s.restart()
	s.push("jobs", 5000, 6000)
	bed.AwaitData("in", feedtest.Numbers(0, 6000))
	s.awaitEmpty("jobs", second)
	if s := r.Stats(); s.Failures == 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestListOfAKilledProcess has in the second list what one has left there, of which
// some had been published.
func TestListOfAKilledProcess(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	for i := range 600 {
		s.do("RPUSH", map[bool]string{true: second, false: "jobs"}[i < 500], fmt.Sprintf(`{"id":%d}`, i))
	}
	named := func(f *feed.Spec) { f.List, f.Data, f.Once = "jobs", "{json.id}", "{json.id}" }
	r := s.feed(bed, named)
	bed.AwaitData("in", feedtest.Numbers(0, 600))
	s.awaitEmpty("jobs", second)
	r.Stop()
	s.do("RPUSH", second, `{"id":599}`, `{"id":600}`)
	r = s.feed(bed, named)
	bed.AwaitData("in", feedtest.Numbers(0, 601))
	s.awaitEmpty(second)
	awaitStats(t, r, "the duplicate", func(s feed.Stats) bool { return s.Duplicates == 1 })
}

func TestListWaitsWhileTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	s.push("jobs", 0, 1000)
	r := s.feed(bed, func(f *feed.Spec) { f.List, f.Prefetch = "jobs", 10 })
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	if left, moved := s.number("LLEN", "jobs"), s.number("LLEN", second); left != 990 || moved != 10 {
		t.Errorf("%d and %d elements, want 990 and 10", left, moved)
	}
	r.Stop()
	if moved := s.number("LLEN", second); moved != 10 {
		t.Errorf("%d elements after the stop, want 10", moved)
	}
	bed.Log.Full.Store(false)
	s.feed(bed, aList)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
}

func TestListStopIsClean(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.push("jobs", 0, 5000)
	for range 3 {
		r := s.feed(bed, func(f *feed.Spec) { f.List, f.Prefetch = "jobs", 5 })
		some(t, bed, len(bed.Data("in"))+1)
		r.Stop()
		if left, moved, stored := s.number("LLEN", "jobs"), s.number("LLEN", second), len(bed.Data("in")); left+stored != 5000 || moved != 0 {
			t.Errorf("%d elements are left, %d moved and %d stored, want 5000 in all and none moved", left, moved, stored)
		}
	}
}

func TestListPoison(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.do("RPUSH", "jobs", "1", "{", "3")
	s.feed(bed, func(f *feed.Spec) { f.List, f.Data = "jobs", "{json}" })
	bed.AwaitData("in", []string{"1", "3"})
	s.awaitEmpty("jobs", second)
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"key":"jobs"`) {
		t.Errorf("dead letters are %q", d)
	}
}

func TestListOfAnotherKindFails(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.do("SET", "jobs", "x")
	r := s.feed(bed, aList)
	awaitStats(t, r, "the state", func(s feed.Stats) bool {
		return s.State == feed.Failing && strings.Contains(s.Error, `move from "jobs": WRONGTYPE`)
	})
}
