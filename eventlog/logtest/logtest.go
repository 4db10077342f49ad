// Package logtest is the suite that every [eventlog.Log] passes.
//
// [Run] is what a store's own test calls. A store that starts no goroutine and
// waits for nothing outside the process uses [RunInBubble] instead, or as well:
// there age is tested to the nanosecond. [Compare] runs random operations against
// a slow and obvious model, for as long as one likes.
//
// The test of a store is then:
//
//	func TestStoreIsALog(t *testing.T) {
//		logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
//			l, err := store.Open(t.TempDir(), o)
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { l.Close() })
//			return l
//		})
//	}
//
// Every case has a sentence with the rule that it checks, which is printed when
// it fails.
package logtest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// Open returns an empty log with these options. It closes the log with t.Cleanup if
// that is needed; a case may have closed it already.
type Open = func(t *testing.T, o eventlog.Options) eventlog.Log

// Run runs the suite with the real clock. It waits for entries to expire, which
// takes less than a second in all.
func Run(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, open, false) })
	}
}

// RunInBubble runs each case in a bubble of package [testing/synctest], where time
// passes only when everybody waits for it.
func RunInBubble(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, open, true) })
		})
	}
}

// A rule is one case of the suite.
type rule struct {
	name    string
	says    string
	options eventlog.Options
	check   func(*fixture)
}

func cases() []rule {
	return slices.Concat(appendRules, followRules, commitRules, conditionalRules, stateRules, readRules, trimRules, seekRules, randomRules)
}

func (c rule) run(t *testing.T, open Open, virtual bool) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the rule: %s", c.says)
		}
	})
	c.check(&fixture{T: t, Log: open(t, c.options), options: c.options, virtual: virtual})
}

// A fixture is the log under test, with methods that fail the test when something
// is wrong in any case.
type fixture struct {
	*testing.T
	eventlog.Log
	options eventlog.Options
	virtual bool
}

var background = context.Background()

// add appends one entry to these topics and returns its position.
func (f *fixture) add(topics ...string) uint64 {
	f.Helper()
	return f.addEntry(eventlog.Message{Topics: topics, Data: []byte("0123456789")}).Seq
}

// addMany appends n entries to a topic and returns the position of the last.
func (f *fixture) addMany(n int, topic string) uint64 {
	f.Helper()
	for range n {
		f.add(topic)
	}
	return f.Head()
}

func (f *fixture) addEntry(m eventlog.Message) *eventlog.Entry {
	f.Helper()
	e := &eventlog.Entry{Message: m}
	if err := f.Append(background, e); err != nil {
		f.Fatalf("Append(%q) = %v", m.Topics, err)
	}
	return e
}

func (f *fixture) forget(topic string) int {
	f.Helper()
	n, err := f.Forget(topic)
	if err != nil {
		f.Fatalf("Forget(%q) = %v", topic, err)
	}
	return n
}

// sel is [eventlog.Select] for patterns that are right.
func sel(patterns ...string) *eventlog.Selector {
	s, err := eventlog.Select(patterns...)
	if err != nil {
		panic(err)
	}
	return s
}

// page reads once and checks what holds for every page.
func (f *fixture) page(s *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) eventlog.Page {
	f.Helper()
	p, err := f.Read(background, s, after, upTo, lim)
	if err != nil {
		f.Fatalf("Read(%q, %d, %d) = %v", s, after, upTo, err)
	}
	if problem := badPage(p, after, upTo, lim); problem != "" {
		f.Fatalf("Read(%q, %d, %d, %+v) = %s: %s", s, after, upTo, lim, pageString(p), problem)
	}
	return p
}

// badPage says what is wrong with p whatever the log holds.
func badPage(p eventlog.Page, after, upTo uint64, lim eventlog.Limit) string {
	last := after
	for _, e := range p.Entries {
		if e.Seq <= last {
			return "positions do not rise from after"
		}
		last = e.Seq
	}
	switch {
	case last > p.Next:
		return "an entry lies beyond Next"
	case p.Next > max(after, upTo):
		return "Next is beyond upTo"
	case p.Next < after:
		return "Next is before after"
	case p.Lost != 0 && (p.Lost <= after || p.Lost > p.Next):
		return "Lost is not in (after, Next]"
	}
	return overLimit(p, lim)
}

func overLimit(p eventlog.Page, lim eventlog.Limit) string {
	if lim.Entries <= 0 {
		lim.Entries = 256
	}
	if lim.Bytes <= 0 {
		lim.Bytes = 256 << 10
	}
	size := 0
	for _, e := range p.Entries {
		size += len(e.Data)
	}
	if n := len(p.Entries); n > lim.Entries || n > 1 && size > lim.Bytes {
		return fmt.Sprintf("%d entries and %d bytes, limits %d and %d", n, size, lim.Entries, lim.Bytes)
	}
	return ""
}

func pageString(p eventlog.Page) string {
	return fmt.Sprintf("{%v next %d lost %d}", positions(p.Entries), p.Next, p.Lost)
}

func positions(es []*eventlog.Entry) []uint64 {
	var seqs []uint64
	for _, e := range es {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

// all reads page by page from after to the end. lost is the highest Page.Lost.
func (f *fixture) all(s *eventlog.Selector, after uint64) (es []*eventlog.Entry, lost uint64) {
	f.Helper()
	for head := f.Head(); after < head; {
		p := f.page(s, after, math.MaxUint64, eventlog.Limit{})
		if p.Next == after {
			f.Fatalf("Read(%q, %d) does not get on; head is %d", s, after, head)
		}
		es, lost, after = append(es, p.Entries...), max(lost, p.Lost), p.Next
	}
	return es, lost
}

// want checks what is found of s, from after on, and the highest loss reported.
func (f *fixture) want(s *eventlog.Selector, after uint64, seqs []uint64, lost uint64) {
	f.Helper()
	es, gotLost := f.all(s, after)
	if got := positions(es); !slices.Equal(got, seqs) || gotLost != lost {
		f.Errorf("reading %q after %d gives %v, lost %d; want %v, lost %d", s, after, got, gotLost, seqs, lost)
	}
}

// wantBounds checks Bounds but for Bytes.
func (f *fixture) wantBounds(s *eventlog.Selector, want eventlog.Bounds) {
	f.Helper()
	got := f.Bounds(s)
	got.Bytes = want.Bytes
	if got != want {
		f.Errorf("Bounds(%q) = %+v, want %+v", s, got, want)
	}
}

// from returns the positions first to last.
func from(first, last uint64) []uint64 {
	var seqs []uint64
	for ; first <= last; first++ {
		seqs = append(seqs, first)
	}
	return seqs
}

// equalEntry compares what is read with what was appended: a log need not return the
// same pointer.
func equalEntry(a, b *eventlog.Entry) bool {
	return a.Seq == b.Seq && a.Time.Equal(b.Time) && equalMessage(a.Message, b.Message)
}

func equalMessage(a, b eventlog.Message) bool {
	return slices.Equal(a.Topics, b.Topics) && a.Type == b.Type && a.ID == b.ID && a.Key == b.Key &&
		a.Retry == b.Retry && a.State == b.State && a.IdempotencyKey == b.IdempotencyKey && bytes.Equal(a.Data, b.Data)
}

// until waits for something that happens after d at the latest, give or take.
func (f *fixture) until(d time.Duration, what string, ok func() bool) {
	f.Helper()
	if f.virtual {
		time.Sleep(d)
		if !ok() {
			f.Fatalf("after %v: not %s", d, what)
		}
		return
	}
	patience := time.After(d + 30*time.Second)
	for !ok() {
		select {
		case <-patience:
			f.Fatalf("long after %v: not %s", d, what)
		case <-time.After(time.Millisecond):
		}
	}
}
