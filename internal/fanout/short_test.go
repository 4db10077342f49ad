package fanout_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
)

// TestShortWriteAtEveryOffset cuts the write of one message, and of three that
// leave in one write, at each of its bytes, and what is left again in the middle.
func TestShortWriteAtEveryOffset(t *testing.T) {
	for _, burst := range []int{1, 3} {
		for _, framed := range []bool{false, true} {
			for cut, size := 0, 1; cut <= size; cut++ {
				synctest.Test(t, func(t *testing.T) {
					b := newBed(t, eventlog.Options{})
					j := fanout.Join{Selector: selector("a"), Framed: framed}
					short, other := b.follow(j), b.follow(j)
					synctest.Wait()
					short.block()
					short.give(cut)
					release := b.hold()
					for i := range burst {
						b.publish(strings.Repeat(fmt.Sprint(i), i+1), "a")
					}
					release()
					synctest.Wait()
					size = len(other.bytes())
					if got := short.bytes(); !bytes.Equal(got, other.bytes()[:cut]) {
						t.Errorf("burst %d cut at %d: got %q", burst, cut, got)
					}
					short.give((size - cut) / 2)
					synctest.Wait()
					b.publish("next", "a")
					short.give(-1)
					b.check(short, other)
				})
			}
		}
	}
}

// FuzzShortWritesKeepFramesWhole plays a script of two-byte steps against one
// reader: publish, publish a burst, post a frame of the stream's own, make room
// for some bytes, publish when there is room that the loop does not know of yet.
// The bytes of the reader must be whole frames: its own and those of the messages,
// each kind in order, none missing.
func FuzzShortWritesKeepFramesWhole(f *testing.F) {
	f.Add([]byte{0}, byte(0))
	f.Add([]byte{0, 10, 3, 5, 0, 10, 3, 7, 1, 9, 3, 100, 2, 1, 3, 0, 0, 0}, byte(1))
	f.Add([]byte{3, 5, 2, 20, 4, 50, 0, 3}, byte(0))
	f.Add([]byte{1, 60, 3, 1, 3, 255, 1, 60, 2, 3, 3, 255, 2, 2, 1, 4, 3, 9}, byte(5))
	f.Add(bytes.Repeat([]byte{0, 200, 3, 33, 2, 5, 1, 3, 3, 66, 4, 20}, 20), byte(7))
	f.Fuzz(func(t *testing.T, script []byte, kind byte) {
		if len(script) > 400 {
			return
		}
		synctest.Test(t, func(t *testing.T) { playShortWrites(t, script, kind) })
	})
}

func playShortWrites(t *testing.T, script []byte, kind byte) {
	b := newBed(t, eventlog.Options{})
	j := fanout.Join{Selector: selector("a"), Form: fanout.Form(kind % 4), Framed: kind&4 != 0}
	c := b.join(j)
	synctest.Wait()
	c.block()
	var own [][]byte
	for i := 0; i+1 < len(script); i += 2 {
		n := int(script[i+1])
		switch script[i] % 5 {
		case 0:
			b.publish(strings.Repeat("m", n), "a")
		case 1:
			release := b.hold()
			for k := range n % 5 {
				b.publish(strings.Repeat("b", n*k), "a")
				b.publish("unseen", "z")
			}
			release()
		case 2:
			frame := fmt.Appendf(nil, "<own %d %s>", len(own), strings.Repeat("o", n))
			own = append(own, frame)
			c.conn.Post(frame)
		case 3:
			c.give(n)
		case 4:
			c.mu.Lock()
			c.room += n
			c.mu.Unlock()
			b.publish("quiet", "a")
			synctest.Wait()
			c.conn.Room()
		}
		synctest.Wait()
	}
	c.give(-1)
	synctest.Wait()
	got := c.bytes()
	for _, e := range b.all {
		if !j.Selector.MatchEntry(e) {
			continue
		}
		frame := b.enc.Frame(e, j.Form, j.Framed)
		for !bytes.HasPrefix(got, frame) && len(own) > 0 && bytes.HasPrefix(got, own[0]) {
			got, own = got[len(own[0]):], own[1:]
		}
		if !bytes.HasPrefix(got, frame) {
			t.Fatalf("message %d is not next: want %.200q, got %.200q", e.Seq, frame, got)
		}
		got = got[len(frame):]
	}
	if rest := bytes.Join(own, nil); !bytes.Equal(got, rest) {
		t.Fatalf("after all messages: %.200q, want %.200q", got, rest)
	}
	c.conn.Close(loop.Ended)
}
