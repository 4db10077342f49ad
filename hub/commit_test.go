package hub_test

import (
	"context"
	"errors"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// TestChangesRestOnValues commits on conditions that hold, and on one that does not.
func TestChangesRestOnValues(t *testing.T) {
	h, err := hub.New(hub.Options{MaxBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx := context.Background()
	message := func(data string) []hub.Message {
		return []hub.Message{{Topics: []string{"a"}, Data: []byte(data)}}
	}
	first := hub.Change{Expect: []eventlog.Put{{Key: "k"}}, Puts: []eventlog.Put{{Key: "k", Value: []byte("1")}}, Messages: message("one")}
	receipts, err := h.CommitIf(ctx, first)
	if err != nil || len(receipts) != 1 || receipts[0].Seq != 1 || receipts[0].ID != eventlog.FormatID(h.Log().Epoch(), 1) {
		t.Fatalf("CommitIf = %+v, %v", receipts, err)
	}
	if _, err := h.CommitIf(ctx, first); !errors.Is(err, hub.ErrChanged) {
		t.Errorf("the same again = %v, want ErrChanged", err)
	}
	if _, err := h.CommitIf(ctx, hub.Change{Messages: message("more than that")}); !errors.Is(err, hub.ErrTooLarge) {
		t.Errorf("a message that is too large = %v", err)
	}
	if _, err := h.CommitIf(ctx, hub.Change{Forget: []string{"a"}, Messages: message("two")}); err != nil {
		t.Error(err)
	}
	if b, err := h.Bounds("a"); err != nil || b.Entries != 1 || b.Oldest != 2 || h.Stats().Published != 2 {
		t.Errorf("%+v %v of topic a, %d messages published; want the second of 2", b, err, h.Stats().Published)
	}
}

func TestConditionsNeedALogThatHasThem(t *testing.T) {
	memory, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: struct{ eventlog.Log }{memory}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.CommitIf(context.Background(), hub.Change{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CommitIf = %v, want ErrUnsupported", err)
	}
}

// TestSyncAsksWhoSharesTheLog has a log that others share, and one of its own.
func TestSyncAsksWhoSharesTheLog(t *testing.T) {
	for _, shared := range []bool{false, true} {
		o := hub.Options{}
		if shared {
			o.Sync = func(context.Context) error { return hub.ErrUnavailable }
		}
		h, err := hub.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Sync(context.Background()); h.Shared() != shared || errors.Is(err, hub.ErrUnavailable) != shared {
			t.Errorf("shared %v: Shared() = %v, Sync() = %v", shared, h.Shared(), err)
		}
		h.Close()
	}
}
