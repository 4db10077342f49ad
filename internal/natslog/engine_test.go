package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/natslog"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// list makes an empty list, and returns two engines of it.
func (s *server) list(name string) (a, b *natslog.Engine) {
	s.t.Helper()
	a, b = s.connect(name, 0), s.connect(name, 0)
	s.t.Cleanup(a.Close)
	s.t.Cleanup(b.Close)
	if err := a.Create(s.t.Context(), "aaaaaaaa", "settings"); err != nil {
		s.t.Fatal(err)
	}
	return a, b
}

// TestAppendIsConditional adds a record with every kind of wrong idea of the list.
func TestAppendIsConditional(t *testing.T) {
	a, b := startServer(t).list("x")
	put := func(epoch string, after sharedlog.Mark, tag string) error {
		_, err := a.Append(t.Context(), epoch, after, tag, []byte(tag), false)
		return err
	}
	first, second := sharedlog.Mark{Pos: 1, Tag: "a-1"}, sharedlog.Mark{Pos: 2, Tag: "b-2"}
	if err := errors.Join(put("aaaaaaaa", sharedlog.Mark{}, "a-1"), put("aaaaaaaa", first, "b-2")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		epoch string
		after sharedlog.Mark
		want  error
	}{
		{"aaaaaaaa", sharedlog.Mark{}, sharedlog.ErrConflict},
		{"aaaaaaaa", first, sharedlog.ErrConflict},
		{"aaaaaaaa", sharedlog.Mark{Pos: 3, Tag: "c-3"}, sharedlog.ErrConflict},
		{"aaaaaaaa", sharedlog.Mark{Pos: 2, Tag: "x-2"}, sharedlog.ErrConflict}, // another record at this place
		{"aaaaaaaa", sharedlog.Mark{Pos: 2, Tag: "a-1"}, sharedlog.ErrConflict}, // one that is elsewhere
		{"bbbbbbbb", second, sharedlog.ErrRefused},
		{"bbbbbbbb", sharedlog.Mark{}, sharedlog.ErrRefused},
	} {
		if err := put(c.epoch, c.after, "c-3"); !errors.Is(err, c.want) {
			t.Errorf("Append to %s after %+v = %v, want %v", c.epoch, c.after, err, c.want)
		}
	}
	want := sharedlog.Head{Epoch: "aaaaaaaa", Settings: "settings", Mark: second}
	if got, err := b.Head(t.Context()); got != want || err != nil {
		t.Errorf("Head = %+v, %v; want %+v", got, err, want)
	}
}

// TestOneListIsMade has many who want to make it, each with its own epoch.
func TestOneListIsMade(t *testing.T) {
	s := startServer(t)
	for round := range 5 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		epochs := make(map[string]bool)
		for i := range 8 {
			e := s.connect(fmt.Sprint("race", round), 0)
			wg.Go(func() {
				defer e.Close()
				err := e.Create(t.Context(), fmt.Sprintf("%dbbbbbbb", i), "settings")
				head, failed := e.Head(t.Context())
				if err != nil || failed != nil {
					t.Errorf("Create: %v, Head: %v", err, failed)
				}
				mu.Lock()
				defer mu.Unlock()
				epochs[head.Epoch] = true
			})
		}
		wg.Wait()
		if len(epochs) != 1 {
			t.Errorf("there are lists %v", epochs)
		}
	}
}

// TestDeletedRecordsAreGone deletes the first records, some in between, and some twice.
func TestDeletedRecordsAreGone(t *testing.T) {
	a, b := startServer(t).list("gone")
	var mark sharedlog.Mark
	for i := range 20 {
		tag := fmt.Sprint("t-", i+1)
		if _, err := a.Append(t.Context(), "aaaaaaaa", mark, tag, []byte(tag), false); err != nil {
			t.Fatal(err)
		}
		mark = sharedlog.Mark{Pos: mark.Pos + 1, Tag: tag}
	}
	for _, list := range [][]uint64{{1, 2, 3, 5, 9}, {5, 9, 4, 6, 7, 12}, {1, 12}, nil} {
		if err := b.Delete(t.Context(), list); err != nil {
			t.Fatalf("Delete(%v) = %v", list, err)
		}
	}
	want := []uint64{8, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20}
	var got []uint64
	for after := uint64(0); after < 20; after = got[len(got)-1] {
		list, err := b.Next(t.Context(), after)
		if err != nil || len(list) == 0 {
			t.Fatalf("Next(%d) = %d records, %v", after, len(list), err)
		}
		for _, r := range list {
			if string(r.Data) != fmt.Sprint("t-", r.Pos) {
				t.Errorf("record %d is %q", r.Pos, r.Data)
			}
			got = append(got, r.Pos)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %v are left, want %v", got, want)
	}
	data, err := a.Load(t.Context(), []uint64{3, 8, 12, 20})
	if err != nil || data[0] != nil || string(data[1]) != "t-8" || data[2] != nil || string(data[3]) != "t-20" {
		t.Errorf("Load = %q, %v", data, err)
	}
	if _, err := a.Load(t.Context(), []uint64{99}); err == nil {
		t.Error("Load of what is not there yet has no error: this server may be behind")
	}
	if head, err := a.Head(t.Context()); head.Mark != mark || err != nil {
		t.Errorf("Head = %+v, %v; want %+v", head, err, mark)
	}
}

// TestNextBeginsWhereItIsTold jumps back and forth.
func TestNextBeginsWhereItIsTold(t *testing.T) {
	t.Parallel()
	a, b := startServer(t).list("next")
	if list, err := b.Next(t.Context(), 0); len(list) > 0 || err != nil {
		t.Errorf("Next of an empty list = %v, %v", list, err)
	}
	var mark sharedlog.Mark
	for i := range 200 {
		tag := fmt.Sprint("t-", i+1)
		if _, err := a.Append(t.Context(), "aaaaaaaa", mark, tag, bytes.Repeat([]byte("x"), 1000), false); err != nil {
			t.Fatal(err)
		}
		mark = sharedlog.Mark{Pos: mark.Pos + 1, Tag: tag}
	}
	for _, after := range []uint64{0, 10, 150, 149, 199, 3} {
		list, err := b.Next(t.Context(), after)
		if err != nil || len(list) == 0 || list[0].Pos != after+1 {
			t.Fatalf("Next(%d) = %d records, %v; want them from %d on", after, len(list), err, after+1)
		}
		for i, r := range list {
			if r.Pos != after+1+uint64(i) {
				t.Fatalf("Next(%d) has %d in place %d", after, r.Pos, i)
			}
		}
	}
	start := time.Now()
	if list, err := b.Next(t.Context(), 200); len(list) > 0 || err != nil || time.Since(start) < readWait {
		t.Errorf("Next at the end = %d records, %v, after %v; want none after %v", len(list), err, time.Since(start), readWait)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start = time.Now()
	if list, _ := b.Next(ctx, 200); len(list) > 0 || time.Since(start) > readWait/2 {
		t.Errorf("Next with 50 ms = %d records after %v", len(list), time.Since(start))
	}
}

const readWait = time.Second

// TestOneHolderHasTheLease takes it, and waits until it lapses.
func TestOneHolderHasTheLease(t *testing.T) {
	t.Parallel()
	a, b := startServer(t).list("lease")
	for _, c := range []struct {
		e      *natslog.Engine
		holder string
		want   bool
	}{{a, "a", true}, {b, "b", false}, {a, "a", true}, {b, "b", false}} {
		if got, err := c.e.Lease(t.Context(), c.holder, time.Second); got != c.want || err != nil {
			t.Errorf("Lease of %s = %v, %v; want %v", c.holder, got, err, c.want)
		}
	}
	nodetest.Within(t, 10*time.Second, "the lease lapses", func() bool {
		ok, err := b.Lease(t.Context(), "b", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	})
}

// TestCloseEndsWhatWaits closes an engine while Next waits.
func TestCloseEndsWhatWaits(t *testing.T) {
	a, _ := startServer(t).list("close")
	done := make(chan error)
	go func() {
		_, err := a.Next(context.Background(), 0)
		done <- err
	}()
	time.AfterFunc(50*time.Millisecond, a.Close)
	start := time.Now()
	if err := <-done; err == nil || time.Since(start) > readWait/2 {
		t.Errorf("Next = %v after %v, want an error at once", err, time.Since(start))
	}
	if _, err := a.Head(t.Context()); err == nil {
		t.Error("Head of a closed engine succeeds")
	}
}

// TestLargestRecordIsStored stores as much as the engine says that it takes, and loads
// it again; and a byte more.
func TestLargestRecordIsStored(t *testing.T) {
	a, b := startServer(t).list("large")
	largest := bytes.Repeat([]byte("0123456789abcdef"), a.MaxRecord()/16)
	if _, err := a.Append(t.Context(), "aaaaaaaa", sharedlog.Mark{}, "t-1", largest, false); err != nil {
		t.Fatal(err)
	}
	list, err := b.Next(t.Context(), 0)
	if err != nil || len(list) != 1 || !bytes.Equal(list[0].Data, largest) {
		t.Errorf("Next = %d records, %v; want the one with %d bytes", len(list), err, len(largest))
	}
	if data, err := b.Load(t.Context(), []uint64{1}); err != nil || !bytes.Equal(data[0], largest) {
		t.Errorf("Load = %d bytes, %v; want %d", len(data[0]), err, len(largest))
	}
	more := append(largest, make([]byte, 1024)...)
	if _, err := a.Append(t.Context(), "aaaaaaaa", sharedlog.Mark{Pos: 1, Tag: "t-1"}, "t-2", more, false); !errors.Is(err, sharedlog.ErrRefused) {
		t.Errorf("Append of %d bytes = %v, want ErrRefused", len(more), err)
	}
}

// TestRecordsDoNotWaitForOthers reads one record after the other, as they are added, over
// many questions to the server for more.
func TestRecordsDoNotWaitForOthers(t *testing.T) {
	a, b := startServer(t).list("single")
	var mark sharedlog.Mark
	for i := range 1200 {
		tag := fmt.Sprint("t-", i)
		if _, err := a.Append(t.Context(), "aaaaaaaa", mark, tag, []byte("x"), false); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		list, err := b.Next(t.Context(), mark.Pos)
		if took := time.Since(begin); err != nil || len(list) != 1 || took > 700*time.Millisecond {
			t.Fatalf("Next(%d) = %d records, %v after %v; want 1 at once", mark.Pos, len(list), err, took)
		}
		mark = sharedlog.Mark{Pos: mark.Pos + 1, Tag: tag}
	}
}
