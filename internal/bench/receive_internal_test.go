package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// receiver returns a run with one open reader, which has read the head of its
// response.
func receiver(tb testing.TB) (*run, *conn) {
	tb.Helper()
	o := Defaults(Fanout)
	o.Server, o.Connections = "http://127.0.0.1:1", 1
	if err := o.complete(); err != nil {
		tb.Fatal(err)
	}
	r, err := newRun(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.wire.close)
	c := r.readers[0]
	c.stage = opening
	c.scanner.tag = r.tag
	r.received(c, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"), 0)
	return r, c
}

// chunks returns n messages from seq on as a server may send them, one chunk each.
func chunks(r *run, seq, n int) []byte {
	var b strings.Builder
	for i := range n {
		p := appendPayload(nil, r.tag, message{seq: uint64(seq + i), due: r.clock.now(), size: r.o.Size})
		frame := fmt.Sprintf("id: mhjh7qjm-%d\ndata: %s\n\n", seq+i, p)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(frame), frame)
	}
	return []byte(b.String())
}

func TestReceivingAllocatesNothing(t *testing.T) {
	r, c := receiver(t)
	const runs, n = 100, 20
	var reads [][]byte
	for i := range runs + 1 { // AllocsPerRun calls once more
		reads = append(reads, chunks(r, i*n, n))
	}
	next := 0
	allocs := testing.AllocsPerRun(runs, func() {
		p := reads[next]
		next++
		r.received(c, p[:100], r.clock.now()) // cuts a message
		r.received(c, p[100:], r.clock.now())
	})
	if g := c.group; allocs != 0 || g.delivered != (runs+1)*n || g.late+g.doubled+g.damaged+g.misrouted > 0 {
		t.Errorf("%v allocations per %d messages; %+v", allocs, n, g.delivered)
	}
}

// BenchmarkReceive is what the client does with the bytes of one read.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			r, c := receiver(b)
			p := chunks(r, 0, n)
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				r.book.start(c.slot, 0)
				r.received(c, p, r.clock.now())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}
