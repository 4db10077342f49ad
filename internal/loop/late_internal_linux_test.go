package loop

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A silent owner takes part in nothing.
type silent struct{ closed chan Reason }

func (s silent) Closed(r Reason)        { s.closed <- r }
func (s silent) Drained()               {}
func (s silent) Farewell(Reason) []byte { return nil }
func (s silent) Reuse(int)              {}

// TestLateEventOfClosedDescriptorIsDropped gives the slot, and most likely the
// number, of a closed descriptor to a new connection before the old one's event
// is handled.
func TestLateEventOfClosedDescriptorIsDropped(t *testing.T) {
	l := New(1).Pick()
	cfg := &Config{Limit: 1000}
	var conns [2]Conn
	var owners [2]silent
	var ends [2][2]int
	add := func(i int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends[i], owners[i] = fds, silent{make(chan Reason, 1)}
		conns[i].Init(l, cfg, owners[i], fds[0], nil, 0, false)
		conns[i].Add()
	}
	add(0)
	defer func() { unix.Close(ends[0][1]) }()
	var late letter
	sync := func() {
		done := make(chan struct{})
		l.Do(func() { close(done) })
		<-done
	}
	l.Do(func() {
		late = letter{kind: letterSocket, slot: conns[0].slot, gen: conns[0].gen, events: unix.EPOLLHUP | unix.EPOLLRDHUP}
	})
	sync()
	conns[0].Close(Ended)
	<-owners[0].closed
	add(1)
	defer func() { unix.Close(ends[1][1]) }()
	sync()
	if conns[1].slot != late.slot {
		t.Fatalf("the new connection is in slot %d, want that of the old one, %d", conns[1].slot, late.slot)
	}
	l.post(late)
	sync()
	if conns[1].closed {
		t.Error("the event of the old descriptor closed the new connection")
	}
	late.gen = conns[1].gen
	l.post(late)
	if r := <-owners[1].closed; r != ClientGone {
		t.Errorf("the event of the new descriptor: closed for %v, want client gone", r)
	}
}
