package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/disklog"
)

func TestANewHookStartsNow(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	b.join("before")
	b.start().stop()
	b.join("meanwhile") // so it must have stored where it was
	b.start()
	b.join("after")
	r.await(joins("meanwhile", "after")...)
}

// TestARestartKeepsThePosition closes the log on disk and opens it again.
func TestARestartKeepsThePosition(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	dir := t.TempDir()
	b.hub = onDisk(t, dir)
	run := b.start()
	b.join("a")
	r.await(joins("a")...)
	b.publish("room/1", "", "not an event that it wants")
	run.stop()
	b.join("b")
	if err := b.hub.Close(); err != nil {
		t.Fatal(err)
	}
	b.hub = onDisk(t, dir)
	t.Cleanup(func() { b.hub.Close() })
	b.join("c")
	run = b.start()
	b.join("d")
	r.await(joins("a", "b", "c", "d")...)
	run.stop()
}

func onDisk(t *testing.T, dir string) *hub.Hub {
	t.Helper()
	log, err := disklog.Open(dir, disklog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestAGapIsAnEvent drops events before they were sent.
func TestAGapIsAnEvent(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	memory, err := eventlog.NewMemory(eventlog.Options{Default: eventlog.Retention{MaxEntries: 3}})
	if err == nil {
		b.hub, err = hub.New(hub.Options{Log: memory})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.hub.Close() })
	b.spec.Batch = 1
	run := b.start()
	b.join("a")
	r.await(joins("a")...)
	run.stop()
	b.join("b", "c", "d", "e", "f")
	b.start()
	r.await(append(append(joins("a"), "gap"), joins("d", "e", "f")...)...)
	id := func(seq int) string { return fmt.Sprintf("%s-%d", b.hub.Log().Epoch(), seq) }
	if e := r.got()[1].events[0]; e.ID != "gap-"+id(3) || e.Reason != "expired" || e.After != id(1) || e.Until != id(3) || e.Topic != "" {
		t.Errorf("the gap is %+v", e)
	}
}

// TestAPositionOfAnotherLogIsAGap has positions that cannot be.
func TestAPositionOfAnotherLogIsAGap(t *testing.T) {
	for position, reason := range map[string]string{"aaaaaaaa-1": "foreign", "nonsense": "foreign", "%s-1000": "future"} {
		r := newReceiver(t)
		b := newBed(t, r)
		b.join("a", "b")
		position = strings.Replace(position, "%s", b.hub.Log().Epoch(), 1)
		if _, err := b.hub.Commit(context.Background(), []eventlog.Put{{Key: "webhook/app", Value: []byte(position)}}); err != nil {
			t.Fatal(err)
		}
		b.start()
		r.await(append([]string{"gap"}, joins("a", "b")...)...)
		if e := r.got()[0].events[0]; e.Reason != reason || e.After != position {
			t.Errorf("the gap is %+v, want %s after %s", e, reason, position)
		}
	}
}

// TestItStartsWhereOtherNodesHaveCome has a log that learns of the position late.
func TestItStartsWhereOtherNodesHaveCome(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	ids := b.publish("weir/presence/room/1", "join", `{"user":"a"}`, `{"user":"b"}`, `{"user":"c"}`)
	failed := false
	b.sync = func(ctx context.Context) error {
		if !failed {
			failed = true
			return fmt.Errorf("%w: the test wants it so", eventlog.ErrUnavailable)
		}
		_, err := b.hub.Commit(ctx, []eventlog.Put{{Key: "webhook/app", Value: []byte(ids[0])}})
		return err
	}
	b.start()
	r.await(joins("b", "c")...)
}
