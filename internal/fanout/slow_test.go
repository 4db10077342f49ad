package fanout_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
)

// keep is a history of n messages for each topic.
func keep(n int) eventlog.Options {
	return eventlog.Options{Default: eventlog.Retention{MaxEntries: n}}
}

// lines returns what a reader of form Text got.
func lines(c *client) []string {
	return strings.Split(strings.TrimSuffix(string(c.bytes()), "\n"), "\n")
}

// gapLine is the notice that a reader of form Text gets.
func (b *bed) gapLine(g fanout.Gap) string {
	return strings.TrimSuffix(string(b.enc.Gap(fanout.Text, g)), "\n")
}

func (b *bed) id(seq uint64) string { return eventlog.FormatID(b.log.Epoch(), seq) }

// stall publishes one message that c does not take, and then, with data counted
// from 0, n to each of the topics.
func (b *bed) stall(c *client, n int, topics ...string) {
	synctest.Wait()
	c.block()
	b.publish("stalls", topics[0])
	synctest.Wait()
	for i := range n {
		for _, name := range topics {
			b.publish(fmt.Sprint(name, i), name)
		}
	}
	synctest.Wait()
}

func TestStalledReaderCatchesUp(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, keep(2000))
			j := fanout.Join{Selector: selector("a"), Slow: fanout.CatchUp}
			slow, quick := b.follow(j), b.follow(j)
			b.stall(slow.client, n, "a", "b")
			if s := b.table.Stats(); s.Behind != 1 {
				t.Errorf("%d readers are behind, want 1", s.Behind)
			}
			if got := quick.bytes(); !bytes.Equal(got, b.frames(j)) {
				t.Error("the quick reader waits for the slow one")
			}
			slow.give(-1)
			b.check(slow, quick)
		})
	}
}

// TestStalledReaderGoesOnAfterMessagesOfOthers publishes nothing for the reader
// while it is stalled.
func TestStalledReaderGoesOnAfterMessagesOfOthers(t *testing.T) {
	for _, slow := range []fanout.Slow{fanout.CatchUp, fanout.Latest, fanout.Cut} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, keep(2000))
			f := b.follow(fanout.Join{Selector: selector("a"), Slow: slow})
			synctest.Wait()
			f.block()
			f.give(5)
			b.publish("cut after five bytes", "a")
			synctest.Wait()
			b.publish("other", "b")
			f.give(-1)
			synctest.Wait()
			if s := b.table.Stats(); s.Behind != 0 {
				t.Errorf("slow %v: the reader is still behind", slow)
			}
			b.publish("live", "a")
			b.check(f)
		})
	}
}

// TestStalledReaderHoldsNoCopy bounds what is queued for it by one page.
func TestStalledReaderHoldsNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(2000))
		f := b.follow(fanout.Join{Selector: selector("a"), Slow: fanout.CatchUp})
		synctest.Wait()
		f.block()
		for range 1000 {
			b.publish(strings.Repeat("x", 1000), "a")
			synctest.Wait()
			f.give(1) // some room, so that it asks for more each time
			synctest.Wait()
		}
		f.mu.Lock()
		writes := f.writes
		f.mu.Unlock()
		f.give(64 << 10) // the page that it holds
		f.give(-1)
		b.check(f)
		if writes > 2100 {
			t.Errorf("%d writes for 1000 messages to a full socket", writes)
		}
	})
}

// TestReaderBehindTheLogIsToldTheGap checks the notice for each policy, in the
// simple case of one topic: what is missing lies between the ID that the reader
// had reached and the one from which its stream goes on.
func TestReaderBehindTheLogIsToldTheGap(t *testing.T) {
	for policy, want := range map[fanout.Policy]struct {
		after uint64
		lines []string
	}{
		fanout.Diff:  {11, []string{"a10", "a11", "a12", "a13", "a14", "live"}},
		fanout.All:   {11, []string{"a10", "a11", "a12", "a13", "a14", "live"}},
		fanout.Reset: {16, []string{"live"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, keep(5))
			c := b.join(fanout.Join{Selector: selector("a"), Form: fanout.Text, Policy: policy, Slow: fanout.CatchUp})
			b.stall(c, 15, "a") // positions 1 to 16; 12 to 16 are kept
			c.give(-1)
			synctest.Wait()
			b.publish("live", "a")
			synctest.Wait()
			gap := fanout.Gap{Reason: "slow", Requested: b.id(0), Oldest: b.id(12), Newest: b.id(16), Policy: policy.String(), After: want.after}
			if got, want := lines(c), append([]string{b.gapLine(gap)}, want.lines...); !slices.Equal(got, want) {
				t.Errorf("policy %v:\n got %q\nwant %q", policy, got, want)
			}
			c.conn.Close(loop.Ended)
		})
	}
}

// TestGapEventCarriesTheIDToGoOnFrom is the same for Server-Sent Events, where the
// notice has an ID.
func TestGapEventCarriesTheIDToGoOnFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(3))
		j := fanout.Join{Selector: selector("a"), Framed: true, Policy: fanout.Diff, Slow: fanout.CatchUp}
		c := b.join(j)
		b.stall(c, 9, "b", "a") // of topic a, 15, 17 and 19 are kept
		c.give(-1)
		synctest.Wait()
		gap := b.enc.Gap(fanout.Events, fanout.Gap{Reason: "slow", Requested: b.id(2), Oldest: b.id(15), Newest: b.id(19), Policy: "diff", After: 14})
		j.After = 14
		want := fmt.Appendf(nil, "%x\r\n%s\r\n%s", len(gap), gap, b.frames(j))
		if got := c.bytes(); !bytes.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		if !bytes.HasPrefix(gap, []byte("event: weir.gap\nid: "+b.id(14)+"\n")) {
			t.Errorf("the notice is %q", gap)
		}
		c.conn.Close(loop.Ended)
	})
}

// TestEachLossIsToldOnce stalls a reader twice.
func TestEachLossIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(2))
		c := b.join(fanout.Join{Selector: selector("a"), Form: fanout.Text, Policy: fanout.Diff, Slow: fanout.CatchUp})
		b.stall(c, 4, "a") // 1 to 5
		c.give(-1)
		b.stall(c, 4, "a") // 6 to 10
		c.give(-1)
		synctest.Wait()
		want := []string{
			b.gapLine(fanout.Gap{Reason: "slow", Requested: b.id(0), Oldest: b.id(4), Newest: b.id(5), Policy: "diff"}), "a2", "a3",
			b.gapLine(fanout.Gap{Reason: "slow", Requested: b.id(5), Oldest: b.id(9), Newest: b.id(10), Policy: "diff"}), "a2", "a3",
		}
		if got := lines(c); !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		c.conn.Close(loop.Ended)
	})
}

// TestLossesBetweenKeptMessagesAreToldOnce follows a busy topic, of which much is
// lost, and a quiet one, which keeps older messages. The reader gets several
// pages, and the busy topic's loss concerns each.
func TestLossesBetweenKeptMessagesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{
			Default: eventlog.Retention{MaxEntries: 1000},
			Rules:   []eventlog.Rule{{Pattern: "busy", Retention: eventlog.Retention{MaxEntries: 1}}},
		})
		c := b.join(fanout.Join{Selector: selector("busy", "quiet"), Form: fanout.Text, Policy: fanout.Diff, Slow: fanout.CatchUp})
		b.stall(c, 500, "busy", "quiet") // 1 to 1001: busy keeps 1000
		c.give(-1)
		synctest.Wait()
		want := []string{b.gapLine(fanout.Gap{Reason: "slow", Requested: b.id(0), Oldest: b.id(3), Newest: b.id(1001), Policy: "diff"})}
		for i := range 500 {
			if i == 499 {
				want = append(want, "busy499")
			}
			want = append(want, fmt.Sprint("quiet", i))
		}
		if got := lines(c); !slices.Equal(got, want) {
			t.Errorf("got %d lines\n%.300q\nwant %d\n%.300q", len(got), got, len(want), want)
		}
		c.conn.Close(loop.Ended)
	})
}

// A racing log has something happen whenever it is asked for its bounds.
type racing struct {
	eventlog.Log
	before func()
}

func (l racing) Bounds(sel *eventlog.Selector) eventlog.Bounds {
	l.before()
	return l.Log.Bounds(sel)
}

// TestLossAfterThePageWasReadIsTold trims more, beyond the page that reports a
// loss, before the notice is made.
func TestLossAfterThePageWasReadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(100))
		more := 80
		b.table = fanout.NewTable(b.loop, b.feed, racing{b.log, func() {
			for ; more > 0; more-- {
				b.publish("more", "a")
			}
		}}, b.enc)
		b.on(func() { b.loop.AddTable(b.table) })
		c := b.join(fanout.Join{Selector: selector("a"), Form: fanout.Text, Policy: fanout.Diff, Slow: fanout.CatchUp})
		b.stall(c, 150, "a") // 1 to 151; 52 to 115 are the page, then 152 to 231 are published
		c.give(-1)
		synctest.Wait()
		want := []string{b.gapLine(fanout.Gap{Reason: "slow", Requested: b.id(0), Oldest: b.id(132), Newest: b.id(231), Policy: "diff"})}
		for seq := uint64(52); seq <= 231; seq++ {
			switch {
			case seq == 116:
				want = append(want, b.gapLine(fanout.Gap{Reason: "slow", Requested: b.id(115), Oldest: b.id(132), Newest: b.id(231), Policy: "diff"}))
			case seq > 116 && seq < 132:
			default:
				want = append(want, string(b.all[seq-1].Data))
			}
		}
		if got := lines(c); !slices.Equal(got, want) {
			t.Errorf("got %d lines\n%.3000q\nwant %d\n%.3000q", len(got), got, len(want), want)
		}
		c.conn.Close(loop.Ended)
	})
}

func TestKnownLossesAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(2))
		for i := range 6 {
			b.publish(fmt.Sprint(i), "a")
		}
		c := b.join(fanout.Join{Selector: selector("a"), Form: fanout.Text, Told: 4, Policy: fanout.Diff, Slow: fanout.CatchUp})
		synctest.Wait()
		if got, want := lines(c), []string{"4", "5"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		c.conn.Close(loop.Ended)
	})
}

func TestCutEndsReaderThatStandsBeforeWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(5))
		j := fanout.Join{Selector: selector("a"), Form: fanout.Text, Policy: fanout.Diff, Slow: fanout.Cut}
		late, lost := b.join(j), b.join(j)
		synctest.Wait()
		late.block()
		b.stall(lost, 4, "a")
		late.give(-1) // late, but in time
		synctest.Wait()
		b.publish("next", "a")
		synctest.Wait()
		lost.give(-1)
		synctest.Wait()
		if r := late.closed(); r != loop.Open || len(lines(late)) != 6 {
			t.Errorf("the reader that caught up is closed for %v, after %q", r, lines(late))
		}
		if r := lost.closed(); r != loop.TooSlow || len(lost.bytes()) != 0 {
			t.Errorf("the reader that lost messages is closed for %v, after %q; want too slow, after nothing", r, lost.bytes())
		}
		late.conn.Close(loop.Ended)
	})
}

// TestLatestGetsTheNewestOfEachTopicAndKey also loses history, which it is not
// told of: it asked for the newest only.
func TestLatestGetsTheNewestOfEachTopicAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, keep(300))
		c := b.join(fanout.Join{Selector: selector("**"), Form: fanout.Text, Policy: fanout.Diff, Slow: fanout.Latest})
		b.stall(c, 2000, "a", "b")
		for i, key := range []string{"x", "y", "x"} {
			b.publishMessage(eventlog.Message{Topics: []string{"a"}, Key: key, Data: fmt.Append(nil, key, i)})
		}
		synctest.Wait()
		c.give(-1)
		synctest.Wait()
		b.publish("live1", "a")
		b.publish("live2", "a")
		synctest.Wait()
		if got, want := lines(c), []string{"a1999", "b1999", "y1", "x2", "live1", "live2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		c.conn.Close(loop.Ended)
	})
}

// TestLogThatClosesEndsReadersThatAreBehind covers what Table.End may come too
// late for.
func TestLogThatClosesEndsReadersThatAreBehind(t *testing.T) {
	for _, slow := range []fanout.Slow{fanout.CatchUp, fanout.Latest, fanout.Cut} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, keep(100))
			c := b.join(fanout.Join{Selector: selector("a"), Slow: slow})
			b.stall(c, 10, "a")
			b.log.Close()
			c.give(-1)
			synctest.Wait()
			if r := c.closed(); r != loop.Shutdown {
				t.Errorf("slow %v: closed for %v, want shutdown", slow, r)
			}
		})
	}
}
