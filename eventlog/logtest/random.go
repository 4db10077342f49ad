package logtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// A Comparison says how [Compare] goes about it.
type Comparison struct {
	Seed  uint64
	Steps int // the time it takes grows with the square

	// Options are those of the log. Default must not be zero, and MaxTopics not be
	// reached.
	Options eventlog.Options

	// Size is what an entry counts towards Options.TotalBytes. If it is nil
	// TotalBytes must not be reached.
	Size func(*eventlog.Entry) int64

	// Sleep lets time pass for the log, where that is possible: [time.Sleep] in a
	// bubble. If it is nil there must be no MaxAge.
	Sleep func(time.Duration)
}

// Compare appends to, forgets, reads and asks an empty log l at random, and
// compares every answer with that of a slow and obvious model.
func Compare(t *testing.T, l eventlog.Log, c Comparison) {
	t.Helper()
	r := &randomRun{
		fixture:    fixture{T: t, Log: l, options: c.Options},
		Comparison: c,
		model:      model{options: c.Options, size: c.Size},
		rng:        rand.New(rand.NewPCG(c.Seed, 0)),
	}
	for step := range c.Steps {
		r.step()
		if t.Failed() {
			t.Fatalf("at step %d of seed %d", step, c.Seed)
		}
	}
}

var randomRules = []rule{{
	name: "AgreesWithAModel",
	says: "Whatever is appended, forgotten, read and asked, the log answers like a plain list would.",
	options: eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 6},
		Rules: []eventlog.Rule{
			{Pattern: "a", Retention: eventlog.Retention{MaxBytes: 60}},
			{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 3}},
			{Pattern: "b/x", Retention: eventlog.Retention{MaxEntries: -1}},
			{Pattern: "b/**", Retention: eventlog.Retention{MaxEntries: 40}},
		},
	},
	check: func(f *fixture) {
		Compare(f.T, f.Log, Comparison{Seed: 1, Steps: 800, Options: f.options})
	},
}}

type randomRun struct {
	fixture
	Comparison
	model model
	rng   *rand.Rand
}

var (
	randomTopics   = []string{"a", "b", "c", "a/x", "a/y", "b/x", "b/y", "b/x/1", "c/x/1", "c/y/1", "c/z"}
	randomPatterns = append([]string{"*", "**", "a/*", "b/**", "*/x", "*/*/1", "c/*/1", "a/**", "*/x/**", "none", "none/*"}, randomTopics...)
	randomIDs      = []string{"x", "y", "z"}
)

func (r *randomRun) step() {
	if r.Sleep != nil && r.rng.IntN(4) == 0 {
		r.Sleep(time.Duration(r.rng.IntN(30)) * time.Second)
	}
	r.model.expire(time.Now())
	switch r.rng.IntN(12) {
	case 0, 1, 2, 3:
		r.append()
	case 4:
		if name := pick(r.rng, randomTopics); r.rng.IntN(4) == 0 {
			if got, want := r.forget(name), r.model.forget(name); got != want {
				r.Errorf("Forget(%q) = %d, want %d", name, got, want)
			}
		}
	case 5, 6, 7, 8:
		r.read()
	case 9:
		r.bounds()
	case 10:
		r.find()
	case 11:
		r.seek()
	}
}

func (r *randomRun) append() {
	var batch []*eventlog.Entry
	for range 1 + r.rng.IntN(4)*r.rng.IntN(2) {
		m := eventlog.Message{Data: make([]byte, r.rng.IntN(30))}
		for range 1 + r.rng.IntN(3)*r.rng.IntN(2) {
			m.Topics = append(m.Topics, pick(r.rng, randomTopics))
		}
		if r.rng.IntN(3) == 0 {
			m.ID = pick(r.rng, randomIDs)
		}
		if r.rng.IntN(4) == 0 {
			m.State, m.Key = true, pick(r.rng, randomIDs)
		}
		batch = append(batch, &eventlog.Entry{Message: m})
	}
	if err := r.Append(background, batch...); err != nil {
		r.Errorf("Append = %v", err)
		return
	}
	r.model.append(batch...)
}

// read compares one page. The log may stop where it likes, but must get on.
func (r *randomRun) read() {
	s, head := r.selector(), r.Head()
	after := r.rng.Uint64N(head + 2)
	upTo := uint64(math.MaxUint64)
	if r.rng.IntN(3) == 0 {
		upTo = r.rng.Uint64N(head + 2)
	}
	lim := eventlog.Limit{Entries: r.rng.IntN(8), Bytes: r.rng.IntN(200)}
	p := r.page(s, after, upTo, lim)
	if p.Next == after && after < min(upTo, head) {
		r.Errorf("Read(%q, %d, %d, %+v) = %s does not get on", s, after, upTo, lim, pageString(p))
	}
	kept, missing := r.model.kept(s, after, p.Next)
	if !slices.EqualFunc(p.Entries, kept, equalEntry) {
		r.Errorf("Read(%q, %d, %d, %+v) = %s, want %v", s, after, upTo, lim, pageString(p), positions(kept))
	}
	if problem := r.badLost(s, p.Lost, missing, p.Next); problem != "" {
		r.Errorf("Read(%q, %d, %d, %+v) = %s: %s", s, after, upTo, lim, pageString(p), problem)
	}
}

// badLost says what is wrong with lost when missing are the positions trimmed of s
// up to next.
func (r *randomRun) badLost(s *eventlog.Selector, lost uint64, missing []uint64, next uint64) string {
	least, most := uint64(0), uint64(0)
	if len(missing) > 0 {
		least = missing[len(missing)-1]
		most = least
	}
	if _, beyond := r.model.kept(s, next, math.MaxUint64); len(beyond) > 0 {
		most = next
	}
	if lost >= least && lost <= most {
		return ""
	}
	return fmt.Sprintf("Lost is %d, want %d to %d", lost, least, most)
}

func (r *randomRun) bounds() {
	s := r.selector()
	kept, missing := r.model.kept(s, 0, math.MaxUint64)
	want := eventlog.Bounds{Entries: len(kept)}
	for _, e := range kept {
		want.Bytes += int64(len(e.Data))
	}
	if len(kept) > 0 {
		want.Oldest, want.Newest = kept[0].Seq, kept[len(kept)-1].Seq
	}
	if len(missing) > 0 {
		want.Lost = missing[len(missing)-1]
	}
	if got := r.Bounds(s); got != want {
		r.Errorf("Bounds(%q) = %+v, want %+v", s, got, want)
	}
}

func (r *randomRun) find() {
	s, id := r.selector(), pick(r.rng, randomIDs)
	kept, _ := r.model.kept(s, 0, math.MaxUint64)
	var want []uint64
	for _, e := range kept {
		if e.ID == id {
			want = append(want, e.Seq)
		}
	}
	want = want[max(0, len(want)-eventlog.MaxFound):]
	got := r.Find(s, id)
	if got = got[max(0, len(got)-eventlog.MaxFound):]; !slices.Equal(got, want) {
		r.Errorf("Find(%q, %q) = %v, want %v", s, id, got, want)
	}
}

func (r *randomRun) seek() {
	s := r.selector()
	kept, _ := r.model.kept(s, 0, math.MaxUint64)
	n := r.rng.IntN(12)
	want := r.Head()
	if n := min(n, len(kept)); n > 0 {
		want = kept[len(kept)-n].Seq - 1
	}
	// The position just before an entry is not the only right one.
	if got := r.Last(s, n); !r.alike(s, got, want) {
		r.Errorf("Last(%q, %d) = %d, want %d", s, n, got, want)
	}
	if len(kept) == 0 {
		return
	}
	t := kept[r.rng.IntN(len(kept))].Time
	first := slices.IndexFunc(kept, func(e *eventlog.Entry) bool { return !e.Time.Before(t) })
	if got, want := r.Since(s, t), kept[first].Seq-1; !r.alike(s, got, want) {
		r.Errorf("Since(%q, time of %d) = %d, want %d", s, kept[first].Seq, got, want)
	}
}

// alike reports whether the same kept entries lie after both positions.
func (r *randomRun) alike(s *eventlog.Selector, a, b uint64) bool {
	between, _ := r.model.kept(s, min(a, b), max(a, b))
	return len(between) == 0
}

func (r *randomRun) selector() *eventlog.Selector {
	var patterns []string
	for range 1 + r.rng.IntN(3) {
		patterns = append(patterns, pick(r.rng, randomPatterns))
	}
	return sel(patterns...)
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }
