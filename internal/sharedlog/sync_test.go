package sharedlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A slowHead is a list whose Head waits to be let through, once that is switched on.
type slowHead struct {
	*list
	slow  atomic.Bool
	asked atomic.Int64
	pass  chan struct{}
}

func (s *slowHead) Head(ctx context.Context) (sharedlog.Head, error) {
	if s.slow.Load() && ctx.Value(asker{}) != nil {
		s.asked.Add(1)
		<-s.pass
	}
	return s.list.Head(ctx)
}

type asker struct{} // key of contexts of Sync, which the tailer's do not have

// TestSyncsHaveOneQuestionInCommon lets many wait for the answer to a question: all those
// have the next one in common, and know then what was stored before they came.
func TestSyncsHaveOneQuestionInCommon(t *testing.T) {
	e := &slowHead{list: newList(), pass: make(chan struct{})}
	a, b := open(t, e, sharedlog.Options{}), open(t, e.list, sharedlog.Options{})
	e.slow.Store(true)
	ctx := context.WithValue(t.Context(), asker{}, true)
	var first, others sync.WaitGroup
	first.Go(func() {
		if err := a.Sync(ctx); err != nil {
			t.Error(err)
		}
	})
	within(t, 5*time.Second, "the first asks", func() bool { return e.asked.Load() == 1 })
	var late atomic.Int64
	for i := range 100 {
		add(t, b, message("a", fmt.Sprint(i)))
		others.Go(func() {
			if err := a.Sync(ctx); err != nil || a.Head() < uint64(i+1) {
				t.Errorf("Sync %d = %v, Head() = %d", i, err, a.Head())
			}
			late.Add(1)
		})
	}
	given, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Sync(given); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync of somebody who leaves = %v", err)
	}
	e.pass <- struct{}{}
	first.Wait()
	for left := true; left; left = late.Load() < 100 {
		select {
		case e.pass <- struct{}{}:
		case <-time.After(time.Millisecond):
		}
	}
	others.Wait()
	n := e.asked.Load()
	close(e.pass)
	if err := a.Sync(ctx); err != nil || e.asked.Load() != n+1 {
		t.Errorf("Sync = %v, and has asked %d questions, want one of its own", err, e.asked.Load()-n)
	}
	if n > 50 { // who came after the second question has a third
		t.Errorf("%d questions were asked for 102 calls", n)
	}
}

// A deafLine gives no answer to Head while it is cut.
type deafLine struct{ line }

func (l *deafLine) Head(ctx context.Context) (sharedlog.Head, error) {
	if l.cut.Load() {
		<-ctx.Done()
	}
	return l.line.Head(ctx)
}

// TestSyncFailsAtOnceWithoutEngine cuts the line to the list.
func TestSyncFailsAtOnceWithoutEngine(t *testing.T) {
	ln := &deafLine{line{list: newList()}}
	var down atomic.Bool
	l := open(t, ln, sharedlog.Options{Status: func(up bool, _ error) { down.Store(!up) }})
	ln.cut.Store(true)
	within(t, 10*time.Second, "the node knows", down.Load)
	before := time.Now()
	if err := l.Sync(t.Context()); !errors.Is(err, eventlog.ErrUnavailable) || time.Since(before) > time.Second {
		t.Errorf("Sync = %v after %v", err, time.Since(before))
	}
	ln.cut.Store(false)
	within(t, 10*time.Second, "Sync works again", func() bool { return l.Sync(t.Context()) == nil })
}

// TestValuesAreFollowedOverNodes sets values on another node, and replaces the list by one
// in which they differ.
func TestValuesAreFollowedOverNodes(t *testing.T) {
	e := newList()
	a, b := open(t, e, sharedlog.Options{}), open(t, e, sharedlog.Options{})
	var mu sync.Mutex
	values := map[string]string{}
	stop := a.FollowValues(func(puts []eventlog.Put) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range puts {
			if values[p.Key] = string(p.Value); p.Value == nil {
				delete(values, p.Key)
			}
		}
	})
	defer stop()
	put := func(l *sharedlog.Log, kv ...string) {
		t.Helper()
		var puts []eventlog.Put
		for i := 0; i < len(kv); i += 2 {
			puts = append(puts, eventlog.Put{Key: kv[i], Value: []byte(kv[i+1])})
		}
		if err := l.Commit(t.Context(), puts, message("a", "x")); err != nil {
			t.Fatal(err)
		}
	}
	follows := func(want ...string) {
		t.Helper()
		within(t, 10*time.Second, fmt.Sprintf("%q is followed", want), func() bool {
			mu.Lock()
			defer mu.Unlock()
			var got []string
			for k, v := range values {
				got = append(got, k+"="+v)
			}
			slices.Sort(got)
			return slices.Equal(got, want)
		})
	}
	put(b, "same", "1", "other", "1")
	follows("other=1", "same=1")
	before := e.copy()
	put(b, "gone", "1", "other", "2")
	follows("gone=1", "other=2", "same=1")
	b.Close()

	branch := newList()
	branch.restore(before)
	c := open(t, branch, sharedlog.Options{})
	put(c, "other", "3")
	put(c, "new", "1")
	c.Close()
	e.restore(branch.copy())
	follows("new=1", "other=3", "same=1")
}
