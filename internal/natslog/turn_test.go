package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// far is the way of a node that is so far from the server that an answer takes 20 ms.
func (s *server) far() *server {
	s.t.Helper()
	way, relay := s.via()
	relay.Slow(10 * time.Millisecond)
	return way
}

// TestAFarNodeGetsItsTurn has one node write without a pause, and another one that has a
// way of 20 ms to the server and back: it is always late, unless the first waits for it.
func TestAFarNodeGetsItsTurn(t *testing.T) {
	s := startServer(t)
	nodetest.FarNodeGetsItsTurn(t, s, s.far())
}

// TestAFarNodeKeepsUp reads on a way of 20 ms what is written faster than one answer
// after the other could bring.
func TestAFarNodeKeepsUp(t *testing.T) {
	s := startServer(t)
	near, _ := s.list("keeps")
	const n = 10_000
	s.manage(func(ctx context.Context, js jetstream.JetStream) error {
		for i := range n {
			if _, err := js.PublishAsync(fmt.Sprint("weir.keeps.aaaaaaaa.t-", i), []byte("a record")); err != nil {
				return err
			}
		}
		<-js.PublishAsyncComplete()
		return nil
	})
	if head, err := near.Head(t.Context()); err != nil || head.Pos != n {
		t.Fatalf("the list ends at %d, %v; want %d", head.Pos, err, n)
	}
	far := s.far().connect("keeps", 0)
	defer far.Close()
	begin := time.Now()
	for pos := uint64(0); pos < n; {
		list, err := far.Next(t.Context(), pos)
		if err != nil {
			t.Fatal(err)
		}
		pos += uint64(len(list))
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%d records took %v, want 1 s at most", n, took)
	} else {
		t.Logf("%d records took %v", n, took)
	}
}

// TestATurnEndsWithARecordOrItsTime has two engines claim, of which one comes first.
func TestATurnEndsWithARecordOrItsTime(t *testing.T) {
	s := startServer(t)
	a, b := s.list("claims")
	ctx, cancel := context.WithCancel(t.Context())
	var tailing sync.WaitGroup
	tailing.Go(func() {
		for pos := uint64(0); ctx.Err() == nil; {
			list, _ := b.Next(ctx, pos)
			pos += uint64(len(list))
		}
	})
	defer tailing.Wait()
	defer cancel()
	var mark sharedlog.Mark
	put := func(e sharedlog.Engine, wait time.Duration) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		tag, begin := fmt.Sprint("t-", mark.Pos+1), time.Now()
		_, err := e.Append(ctx, "aaaaaaaa", mark, tag, []byte("x"), false)
		if err == nil {
			mark = sharedlog.Mark{Pos: mark.Pos + 1, Tag: tag}
		}
		return time.Since(begin), err
	}
	claim := func() { // both, and a is first; when Claim returns, the engine has heard that
		t.Helper()
		if err := errors.Join(a.Claim(ctx, time.Second), b.Claim(ctx, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}

	claim()
	if _, err := put(b, 50*time.Millisecond); !errors.Is(err, sharedlog.ErrRefused) {
		t.Fatalf("Append on another's turn = %v, want ErrRefused", err)
	}
	if took, err := put(a, time.Minute); err != nil || took > 800*time.Millisecond {
		t.Errorf("Append on its turn = %v after %v, want success at once", err, took)
	}
	if took, err := put(b, time.Minute); err != nil || took > 800*time.Millisecond {
		t.Errorf("Append after another's turn = %v after %v, want success at once", err, took)
	}
	claim()
	if took, err := put(b, time.Minute); err != nil || took < 500*time.Millisecond {
		t.Errorf("Append on another's turn, which adds nothing = %v after %v, want success after 1 s", err, took)
	}
}

// restricted is a server whose user may do something, and a way to it.
func restricted(t *testing.T, permissions string) *server {
	t.Helper()
	s := start(t, "authorization { users: [{ user: u, password: p, permissions { "+permissions+" } }] }")
	return s.at(t, "nats://u:p@"+s.Addr())
}

// TestNodesThatMayNotClaimGoOn has a user that may not use the subject of claims.
func TestNodesThatMayNotClaimGoOn(t *testing.T) {
	s := restricted(t, `publish { deny: "weir.*._turn" }, subscribe { deny: "weir.*._turn" }`)
	l, e := s.open("x", sharedlog.Options{}), s.connect("x", 0)
	defer e.Close()
	nodetest.Add(t, l, nodetest.Message("a", "1"))
	begin := time.Now()
	for range 100 {
		if err := e.Claim(t.Context(), 100*time.Millisecond); err == nil {
			t.Fatal("Claim succeeds")
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("100 claims took %v, want the time of one", took)
	}
	nodetest.Add(t, l, nodetest.Message("a", "2"))
}

// TestUserNeedsNoMoreThanThePackageSays does all that an engine can, with the permissions
// of the package comment.
func TestUserNeedsNoMoreThanThePackageSays(t *testing.T) {
	text, err := os.ReadFile("engine.go")
	if err != nil {
		t.Fatal(err)
	}
	var publish []string
	for _, line := range regexp.MustCompile(`(?m)^//\t(\S*NAME\S*)$`).FindAllStringSubmatch(string(text), -1) {
		publish = append(publish, fmt.Sprintf("%q", strings.ReplaceAll(line[1], "NAME", "x=y")))
	}
	s := restricted(t, "publish: ["+strings.Join(publish, ", ")+`], subscribe: ["weir.x=y._turn", "_INBOX.>"]`)
	l, e := s.open("x.y", sharedlog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 5}}}), s.connect("x.y", 0)
	defer e.Close()
	for i := range 20 {
		nodetest.Add(t, l, nodetest.Message("a", fmt.Sprint(i)))
	}
	for range 2 {
		if err := l.Clean(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if list, err := e.Load(t.Context(), []uint64{1, 20}); err != nil || list[0] != nil || list[1] == nil {
		t.Errorf("Load = %d, %v; want the last record, not the first", list, err)
	}
	if list, err := e.Next(t.Context(), 10); err != nil || len(list) == 0 {
		t.Errorf("Next = %d records, %v", len(list), err)
	}
	if err := e.Claim(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if said := s.Said(); strings.Contains(said, "Violation") {
		t.Errorf("the server says\n%s", said)
	}
}
