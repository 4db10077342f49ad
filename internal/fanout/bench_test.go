package fanout_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
)

// A sinkhole is a socket that takes everything. It is its own owner.
type sinkhole struct {
	conn loop.Conn
	fd   int // write there as well; -1 for nowhere
}

func (c *sinkhole) Write(p []byte) (int, error) {
	if c.fd < 0 {
		return len(p), nil
	}
	return loop.Write(c.fd, p)
}

func (c *sinkhole) Close(bool) {
	if c.fd < 0 {
		return
	}
	if nc, err := loop.Attach(c.fd); err == nil {
		nc.Close()
	}
}
func (c *sinkhole) Closed(loop.Reason)          {}
func (c *sinkhole) Drained()                    {}
func (c *sinkhole) Farewell(loop.Reason) []byte { return nil }
func (c *sinkhole) Reuse(int)                   {}

// datagram returns a descriptor that takes everything: a UDP socket whose other
// end does not read, so that the kernel drops what is too much. The loop does not
// watch it, because the kernel reports room after each datagram, as it does not
// for TCP.
func datagram(b *testing.B, to net.Addr) int {
	nc, err := net.Dial("udp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	fd, err := loop.Detach(nc, 0, 0)
	if err != nil {
		b.Fatal(err)
	}
	return fd
}

// subscribers adds n readers, over datagrams to sink if it is not nil.
func (b *bed) subscribers(bb *testing.B, n int, sink net.Addr, sel func(i int) *eventlog.Selector) {
	conns := make([]sinkhole, n)
	for i := range conns {
		c := &conns[i]
		c.fd = -1
		if sink != nil {
			c.fd = datagram(bb, sink)
		}
		c.conn.Init(b.loop, roomy, c, -1, c, 0, false)
		c.conn.Add()
		b.loop.Do(func() { b.table.Join(&c.conn, fanout.Join{Selector: sel(i), Framed: true}) })
	}
	bb.Cleanup(func() {
		for i := range conns {
			conns[i].conn.Close(loop.Ended)
		}
	})
	b.on(func() {})
}

// pool makes entries, so that making them does not count. They are dispatched with
// new positions each time round, as if they were new, but are encoded already.
func (b *bed) pool(n, size int, name func(i int) string) []*eventlog.Entry {
	es := make([]*eventlog.Entry, n)
	for i := range es {
		es[i] = &eventlog.Entry{Message: eventlog.Message{Topics: []string{name(i)}, Data: make([]byte, size)}}
		b.enc.Frame(es[i], fanout.Events, true)
	}
	return es
}

// BenchmarkStep is one message to all subscribers: each gets one write. In memory
// it shows the cost of the table, over the kernel that of the system call as well.
func BenchmarkStep(bb *testing.B) {
	for _, subs := range []int{1000, 5000} {
		for _, size := range []int{128, 4096} {
			for _, socket := range []string{"memory", "kernel"} {
				bb.Run(fmt.Sprintf("subs=%d/bytes=%d/socket=%s", subs, size, socket), func(bb *testing.B) {
					benchmarkStep(bb, subs, size, socket == "kernel")
				})
			}
		}
	}
}

func benchmarkStep(bb *testing.B, subs, size int, kernel bool) {
	b := newBed(bb, eventlog.Options{})
	var sink net.Addr
	if kernel {
		if !loop.Supported {
			bb.Skip("no descriptors on this system")
		}
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			bb.Fatal(os.NewSyscallError("listen", err))
		}
		defer pc.Close()
		sink = pc.LocalAddr()
	}
	sel := selector("a")
	b.subscribers(bb, subs, sink, func(int) *eventlog.Selector { return sel })
	es := b.pool(1, size, func(int) string { return "a" })
	bb.SetBytes(int64(subs * size))
	b.on(func() {
		bb.ReportAllocs()
		for bb.Loop() {
			es[0].Seq++
			b.feed.Push(es[0])
			b.table.Step()
		}
		bb.ReportMetric(float64(bb.Elapsed().Nanoseconds())/float64(bb.N*subs), "ns/delivery")
	})
	if got, want := b.table.Stats().Delivered, int64(bb.N*subs); got < want {
		bb.Errorf("%d messages were delivered, want %d", got, want)
	}
}

// BenchmarkDispatchUnmatched is one message that nobody follows, among many
// patterns and topics. It must not cost more the more there are.
func BenchmarkDispatchUnmatched(bb *testing.B) {
	for _, n := range []struct{ patterns, topics int }{{10, 180}, {1000, 18_000}} {
		bb.Run(fmt.Sprintf("patterns=%d/topics=%d", n.patterns, n.topics), func(bb *testing.B) {
			b := newBed(bb, eventlog.Options{})
			kinds := []string{"shop/%d/orders/*", "shop/%d/**", "user-%d", "*/%d/stock"}
			b.subscribers(bb, n.patterns, nil, func(i int) *eventlog.Selector {
				return selector(fmt.Sprintf(kinds[i%len(kinds)], i))
			})
			es := b.pool(n.topics, 128, func(i int) string { return fmt.Sprintf("depot/%d/shelf/%d", i, i%7) })
			b.on(func() {
				bb.ReportAllocs()
				seq := uint64(0)
				for i := 0; bb.Loop(); i++ {
					seq++
					e := es[i%len(es)]
					e.Seq = seq
					b.feed.Push(e)
					b.table.Step()
				}
			})
			if n := b.table.Stats().Delivered; n != 0 {
				bb.Errorf("%d messages were delivered", n)
			}
		})
	}
}
