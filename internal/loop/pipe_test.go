package loop_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/internal/loop"
)

// A piped connection is one over a Pipe.
type piped struct {
	conn   loop.Conn
	owner  owner
	pipe   *loop.Pipe
	cancel context.CancelFunc
	served chan struct{} // closed when Serve has returned
}

// openPipe puts a connection over a pipe on l; write gets its bytes.
func openPipe(l *loop.Loop, cfg *loop.Config, write func([]byte) error) *piped {
	p := &piped{served: make(chan struct{})}
	p.pipe = loop.NewPipe(&p.conn)
	p.conn.Init(l, cfg, &p.owner, -1, p.pipe, 0, false)
	p.conn.Add()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.served)
		defer cancel()
		p.pipe.Serve(ctx, write)
	}()
	return p
}

// TestPipeHandsOnEverythingInOrder sends frames that are larger than a pipe to a
// writer that blocks until it is let go on.
func TestPipeHandsOnEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		turn := make(chan struct{})
		var got []byte
		p := openPipe(l, &loop.Config{Limit: 1 << 20, Tail: []byte("end")}, func(b []byte) error {
			<-turn
			if len(b) > 64<<10 {
				t.Errorf("write of %d bytes, the pipe holds 65536", len(b))
			}
			got = append(got, b...)
			clear(b) // the pipe must not lend out memory that it still needs
			return nil
		})
		var want []byte
		for i := range 5 {
			frame := bytes.Repeat([]byte{'a' + byte(i)}, 50_000*i+1)
			want = append(want, frame...)
			if !p.conn.Post(frame) {
				t.Fatal("refused")
			}
		}
		p.conn.End(loop.Ended)
		synctest.Wait()
		on(l, func() {}) // the loop goes on although the writer blocks
		close(turn)
		<-p.served
		if want = append(want, "end"...); !bytes.Equal(got, want) {
			t.Errorf("%d bytes came out, want the %d that went in", len(got), len(want))
		}
		if !slices.Equal(p.owner.reasons(), []loop.Reason{loop.Ended}) {
			t.Errorf("closed %v, want ended", p.owner.closed)
		}
	})
}

func TestPipeTakesOnlyWhatItHolds(t *testing.T) {
	var c loop.Conn
	p := loop.NewPipe(&c)
	for i, test := range []struct{ offer, want int }{{40_000, 40_000}, {40_000, 25_536}, {1, 0}, {0, 0}} {
		if n, err := p.Write(make([]byte, test.offer)); n != test.want || err != nil {
			t.Errorf("write %d of %d bytes: %d, %v; want %d", i+1, test.offer, n, err, test.want)
		}
	}
}

// TestUncleanCloseOfPipeDropsWhatWaits closes it while the writer is busy.
func TestUncleanCloseOfPipeDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		turn := make(chan struct{})
		var got []byte
		p := openPipe(l, roomy, func(b []byte) error {
			<-turn
			got = append(got, b...)
			return nil
		})
		p.conn.Post([]byte("one"))
		synctest.Wait()
		p.conn.Post([]byte("two"))
		synctest.Wait()
		p.conn.Close(loop.TooSlow)
		synctest.Wait()
		close(turn)
		<-p.served
		if string(got) != "one" {
			t.Errorf("%q was written, want one: the rest was dropped", got)
		}
	})
}

func TestPipeReportsTheClientsEnd(t *testing.T) {
	for name, act := range map[string]func(p *piped, fail chan struct{}){
		"write fails":  func(p *piped, fail chan struct{}) { close(fail) },
		"context ends": func(p *piped, fail chan struct{}) { p.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fail := make(chan struct{})
				p := openPipe(loop.New(1).Pick(), roomy, func(b []byte) error {
					select {
					case <-fail:
						return errors.New("gone")
					default:
						return nil
					}
				})
				p.conn.Post([]byte("fine"))
				synctest.Wait()
				act(p, fail)
				p.conn.Post([]byte("not fine"))
				<-p.served
				synctest.Wait()
				if !slices.Equal(p.owner.closed, []loop.Reason{loop.ClientGone}) {
					t.Errorf("closed %v, want client gone", p.owner.closed)
				}
			})
		})
	}
}
