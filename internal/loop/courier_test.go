package loop_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/internal/loop"
)

// A couriered connection is one over a Courier.
type couriered struct {
	conn  loop.Conn
	owner owner
	ends  int
	got   []byte
}

// openCourier puts a connection over a courier on l. write gets its bytes; those
// that it accepts are in got.
func openCourier(l *loop.Loop, cfg *loop.Config, write func([]byte) error) *couriered {
	c := &couriered{}
	courier := loop.NewCourier(&c.conn, func(b []byte) error {
		if err := write(b); err != nil {
			return err
		}
		c.got = append(c.got, b...)
		clear(b) // the courier must not lend out memory that it still needs
		return nil
	}, func() { c.ends++ })
	c.conn.Init(l, cfg, &c.owner, -1, courier, 0, false)
	c.conn.Add()
	return c
}

func TestCourierHandsOnEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		turn := make(chan struct{})
		c := openCourier(l, &loop.Config{Limit: 1 << 20, Tail: []byte("end")}, func(b []byte) error {
			<-turn
			if len(b) > 64<<10 {
				t.Errorf("write of %d bytes, the courier holds 65536", len(b))
			}
			return nil
		})
		var want []byte
		for i := range 5 {
			frame := bytes.Repeat([]byte{'a' + byte(i)}, 50_000*i+1)
			want = append(want, frame...)
			if !c.conn.Post(frame) {
				t.Fatal("refused")
			}
		}
		c.conn.End(loop.Ended)
		synctest.Wait()
		on(l, func() {}) // the loop goes on although the writer blocks
		if c.ends != 0 {
			t.Error("closed before everything is written")
		}
		close(turn)
		synctest.Wait()
		if want = append(want, "end"...); !bytes.Equal(c.got, want) {
			t.Errorf("%d bytes came out, want the %d that went in", len(c.got), len(want))
		}
		if !slices.Equal(c.owner.reasons(), []loop.Reason{loop.Ended}) || c.ends != 1 {
			t.Errorf("closed %v, what it writes to %d times; want ended, once", c.owner.closed, c.ends)
		}
	})
}

func TestIdleCourierHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		release := make(chan struct{})
		c := openCourier(l, roomy, func([]byte) error { <-release; return nil })
		running := func() bool {
			synctest.Wait()
			return strings.Contains(string(stacks()), "(*Courier).run")
		}
		for range 3 {
			if running() {
				t.Error("a goroutine runs though there is nothing to write")
			}
			c.conn.Post([]byte("x"))
			if !running() {
				t.Error("no goroutine runs though there is something to write")
			}
			release <- struct{}{}
		}
		c.conn.Close(loop.Ended)
		if running() || c.ends != 1 || string(c.got) != "xxx" {
			t.Errorf("closed: got %q, ended %d times; want xxx, once, and no goroutine", c.got, c.ends)
		}
	})
}

// TestUncleanCloseOfCourierDropsWhatWaits closes it while the writer is busy.
func TestUncleanCloseOfCourierDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{})
		c := openCourier(loop.New(1).Pick(), roomy, func([]byte) error { <-turn; return nil })
		c.conn.Post([]byte("one"))
		synctest.Wait()
		c.conn.Post([]byte("two"))
		synctest.Wait()
		c.conn.Close(loop.TooSlow)
		synctest.Wait()
		close(turn)
		synctest.Wait()
		if string(c.got) != "one" || c.ends != 1 {
			t.Errorf("%q was written, ended %d times; want one: the rest was dropped, and once", c.got, c.ends)
		}
	})
}

func TestCourierReportsAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := false
		c := openCourier(loop.New(1).Pick(), roomy, func([]byte) error {
			if fail {
				return errors.New("gone")
			}
			return nil
		})
		c.conn.Post([]byte("fine"))
		synctest.Wait()
		fail = true
		c.conn.Post(bytes.Repeat([]byte("not fine"), 50_000)) // more than it holds: the loop waits for room
		synctest.Wait()
		if !slices.Equal(c.owner.reasons(), []loop.Reason{loop.ClientGone}) || string(c.got) != "fine" || c.ends != 1 {
			t.Errorf("closed %v after %q, ended %d times; want client gone, fine, once", c.owner.closed, c.got, c.ends)
		}
	})
}
