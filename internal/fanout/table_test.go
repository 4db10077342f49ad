package fanout_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
)

// A follower is a client and how it joined.
type follower struct {
	*client
	join fanout.Join
}

func (b *bed) follow(j fanout.Join) follower { return follower{b.join(j), j} }

// check compares what each follower got with the log, closes it, and checks the
// table's counts.
func (b *bed) check(fs ...follower) {
	b.t.Helper()
	synctest.Wait()
	messages, size := int64(0), int64(0)
	for i, f := range fs {
		want := b.frames(f.join)
		if got := f.bytes(); !bytes.Equal(got, want) {
			b.t.Errorf("reader %d, of %q after %d, got %d bytes\n%.3000q\nwant %d\n%.3000q", i, f.join.Selector, f.join.After, len(got), got, len(want), want)
		}
		for _, e := range b.all {
			if e.Seq > f.join.After && f.join.Selector.MatchEntry(e) {
				messages++
			}
		}
		size += int64(len(want))
	}
	if got, want := b.table.Stats(), (fanout.Stats{Readers: int64(len(fs)), Delivered: messages, Bytes: size}); got != want {
		b.t.Errorf("stats are %+v, want %+v", got, want)
	}
	for i, f := range fs {
		f.conn.End(loop.Ended)
		synctest.Wait()
		if got, want := f.conn.Sent(), int64(len(f.bytes())); got != want {
			b.t.Errorf("reader %d was sent %d bytes as it says, %d really", i, got, want)
		}
	}
	if s := b.table.Stats(); s.Readers != 0 || s.Behind != 0 {
		b.t.Errorf("after all have left: %+v", s)
	}
}

// TestNothingIsLostOrDoubledAtTheSeam has readers join at all positions while
// messages are published.
func TestNothingIsLostOrDoubledAtTheSeam(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 300
		b := newBed(t, eventlog.Options{})
		var fs []follower
		var joined sync.WaitGroup
		start := make(chan struct{})
		joined.Go(func() {
			<-start
			for i := range 100 {
				for after := range uint64(4) {
					j := fanout.Join{Selector: selector("a/*"), Form: fanout.Form(i % 4), Framed: i%3 == 0, After: min(b.log.Head(), after*uint64(i))}
					fs = append(fs, b.follow(j))
				}
			}
		})
		close(start)
		for i := range messages {
			b.publish(fmt.Sprint("message ", i), fmt.Sprint("a/", i%7))
		}
		joined.Wait()
		b.check(fs...)
	})
}

// TestReaderAheadOfItsLoopGetsNothingTwice joins with a position that the log has
// reached and the loop has not.
func TestReaderAheadOfItsLoopGetsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		first := b.follow(fanout.Join{Selector: selector("a")})
		synctest.Wait()
		release := b.hold()
		b.loop.Do(func() {
			for i := range 10 {
				b.publish(fmt.Sprint(i), "a")
			}
		})
		ahead := b.follow(fanout.Join{Selector: selector("a"), After: 10})
		amid := b.follow(fanout.Join{Selector: selector("a"), After: 5})
		release()
		synctest.Wait()
		b.publish("next", "a")
		b.check(first, ahead, amid)
	})
}

// TestReaderOfIdleTableGetsNothingTwice publishes while nobody reads: the table
// does not keep up then.
func TestReaderOfIdleTableGetsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		for i := range 5 {
			b.publish(fmt.Sprint(i), "a")
			gone := b.follow(fanout.Join{Selector: selector("a"), After: b.log.Head()})
			b.publish(fmt.Sprint(i), "a")
			synctest.Wait()
			gone.conn.Close(loop.ClientGone)
			synctest.Wait()
			b.publish(fmt.Sprint(i), "a")
		}
		before := b.table.Stats()
		fs := []follower{
			b.follow(fanout.Join{Selector: selector("a"), After: 0}),
			b.follow(fanout.Join{Selector: selector("a"), After: 14}),
			b.follow(fanout.Join{Selector: selector("a"), After: 15}),
		}
		synctest.Wait()
		b.publish("last", "a")
		synctest.Wait()
		for _, f := range fs {
			if got, want := f.bytes(), b.frames(f.join); !bytes.Equal(got, want) {
				t.Errorf("reader after %d got %q, want %q", f.join.After, got, want)
			}
			f.conn.Close(loop.Ended)
		}
		if got := b.table.Stats().Delivered - before.Delivered; got != 16+2+1 {
			t.Errorf("%d messages delivered, want 19", got)
		}
	})
}

// TestHeadThatIsAheadOfTheFeed joins while the log has an entry that it has not
// yet handed to its follower.
func TestHeadThatIsAheadOfTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		var late *eventlog.Entry
		b.log.Follow(func(e *eventlog.Entry) { late = e })
		b.publish("first", "a")
		f := b.follow(fanout.Join{Selector: selector("a")})
		synctest.Wait()
		b.feed.Push(late)
		b.table.Wake()
		b.check(f)
	})
}

func TestMessageInSeveralTopicsComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		b.publish("early", "a/b", "a/c", "d")
		fs := []follower{
			b.follow(fanout.Join{Selector: selector("a/b", "a/c", "d")}),
			b.follow(fanout.Join{Selector: selector("a/*", "a/**", "**", "a/b")}),
			b.follow(fanout.Join{Selector: selector("a/c")}),
			b.follow(fanout.Join{Selector: selector("e")}),
		}
		synctest.Wait()
		b.publish("live", "d", "a/c", "a/b")
		b.publish("other", "x")
		b.check(fs...)
	})
}

// TestLargeMessageInSeveralTopicsComesOnce is the same for one that fills a batch.
func TestLargeMessageInSeveralTopicsComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		fs := []follower{
			b.follow(fanout.Join{Selector: selector("a", "b", "c")}),
			b.follow(fanout.Join{Selector: selector("*", "**"), Form: fanout.Text}),
		}
		release := b.hold()
		b.loop.Do(func() {
			for i := range 20 {
				b.publish(strings.Repeat(string(rune('a'+i)), 20_000*(i%5)), "a", "b", "c")
			}
		})
		release()
		b.check(fs...)
	})
}

// TestBrokenConnectionsInAFullBatch has groups go while a message that fills the
// batch of each is dispatched.
func TestBrokenConnectionsInAFullBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		var fs, broken []follower
		for i := range 12 {
			f := b.follow(fanout.Join{Selector: selector("a"), Form: fanout.Form(i % 4), Framed: i%2 == 0})
			if i%4 != 1 { // whole groups
				f.mu.Lock()
				f.err = fmt.Errorf("on purpose")
				f.mu.Unlock()
				broken = append(broken, f)
			} else {
				fs = append(fs, f)
			}
		}
		synctest.Wait()
		for range 3 {
			b.publish(strings.Repeat("x", 100_000), "a")
			synctest.Wait()
		}
		for i, f := range broken {
			if f.closed() != loop.WriteFailed {
				t.Errorf("broken reader %d is closed for %v", i, f.closed())
			}
		}
		b.check(fs...)
	})
}

// TestFirstBytesPrecedeMessages joins while bytes of the stream's own wait, and
// messages come in the same turn: the bytes say where the reader stands.
func TestFirstBytesPrecedeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		c := b.connect()
		synctest.Wait()
		release := b.hold()
		c.conn.Post([]byte("ready;"))
		b.loop.Do(func() { b.table.Join(&c.conn, fanout.Join{Selector: selector("a"), Form: fanout.Text}) })
		b.loop.Do(func() { b.publish("message", "a") })
		release()
		synctest.Wait()
		if got := string(c.bytes()); got != "ready;message\n" {
			t.Errorf("got %q, want ready;message", got)
		}
		c.conn.Close(loop.Ended)
	})
}

// TestJoinOfClosedConnectionLeavesNothing covers a client that goes while its
// stream is being opened.
func TestJoinOfClosedConnectionLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		release := b.hold()
		closed, ending := b.connect(), b.connect()
		closed.conn.Close(loop.ClientGone)
		ending.conn.End(loop.Ended)
		for _, c := range []*client{closed, ending} {
			b.loop.Do(func() { b.table.Join(&c.conn, fanout.Join{Selector: selector("a")}) })
		}
		release()
		synctest.Wait()
		b.publish("x", "a")
		synctest.Wait()
		if s := b.table.Stats(); s != (fanout.Stats{}) || len(closed.bytes())+len(ending.bytes()) > 0 {
			t.Errorf("stats %+v, sent %q and %q; want nothing", s, closed.bytes(), ending.bytes())
		}
	})
}

// TestOverrunReadersGoOnFromTheLog publishes more than the feed holds while the
// loop is busy.
func TestOverrunReadersGoOnFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{Default: eventlog.Retention{MaxEntries: 100_000}})
		fs := []follower{
			b.follow(fanout.Join{Selector: selector("a")}),
			b.follow(fanout.Join{Selector: selector("**"), Form: fanout.Lines}),
			b.follow(fanout.Join{Selector: selector("b")}),
		}
		for range 2 {
			b.publish("before", "a", "b")
			synctest.Wait()
			release := b.hold()
			for i := range 20_000 {
				b.publish(fmt.Sprint(i), []string{"a", "b", "c"}[i%3])
			}
			release()
			synctest.Wait()
			b.publish("after", "a", "b")
		}
		b.check(fs...)
	})
}

func TestBrokenConnectionDoesNotDisturbItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		j := fanout.Join{Selector: selector("a")}
		var fs []follower
		for range 5 {
			fs = append(fs, b.follow(j))
		}
		synctest.Wait()
		for _, i := range []int{0, 2, 4} {
			fs[i].mu.Lock()
			fs[i].err = fmt.Errorf("on purpose")
			fs[i].mu.Unlock()
		}
		b.publish("x", "a")
		synctest.Wait()
		for _, i := range []int{0, 2, 4} {
			if r := fs[i].closed(); r != loop.WriteFailed || len(fs[i].bytes()) > 0 {
				t.Errorf("broken reader %d: closed for %v after %q", i, r, fs[i].bytes())
			}
		}
		b.publish("y", "a")
		b.check(fs[1], fs[3])
	})
}

// TestEndEndsOnlyTheReadersOfItsTable leaves streams alone that follow nothing, or
// another hub.
func TestEndEndsOnlyTheReadersOfItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		mine, other := b.follow(fanout.Join{Selector: selector("a")}), b.connect()
		b.publish("x", "a")
		b.on(b.table.End)
		synctest.Wait()
		if mine.closed() != loop.Shutdown || string(mine.bytes()) != string(b.frames(mine.join)) || other.closed() != loop.Open {
			t.Errorf("reader closed for %v after %q, the other stream for %v; want shutdown, and open", mine.closed(), mine.bytes(), other.closed())
		}
		other.conn.Close(loop.Ended)
	})
}
