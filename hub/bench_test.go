package hub_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

// BenchmarkDeliver writes one message at a time to all readers of a topic, over
// real sockets whose other ends do not read: the kernel's buffers hold what one
// run sends. So nothing but the server works, and the figures for procs=1 and
// procs=2 show how delivery scales. One operation is one message to one reader.
func BenchmarkDeliver(b *testing.B) {
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprintf("subs=1000/bytes=128/procs=%d", procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			benchmarkDeliver(b, 1000, procs)
		})
	}
}

func benchmarkDeliver(b *testing.B, subs, procs int) {
	engine := stream.NewEngine(procs)
	h, err := hub.New(hub.Options{Stream: stream.Options{Engine: engine}})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	defer srv.Close()
	defer h.Close()
	for range subs {
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, "GET /?topic=bench HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	for h.Stats().Readers < int64(subs) {
		runtime.Gosched()
	}
	data := []byte(strings.Repeat("x", 128))
	b.ReportAllocs()
	b.ResetTimer()
	sent := int64(0)
	for n := 0; n < b.N; n += subs {
		if _, err := h.Publish(context.Background(), hub.Message{Topics: []string{"bench"}, Data: data}); err != nil {
			b.Fatal(err)
		}
		for sent += int64(subs); h.Stats().Delivered < sent; {
			runtime.Gosched()
		}
	}
	b.StopTimer()
	if behind := h.Stats().Behind; behind > 0 {
		b.Fatalf("%d readers are behind: the kernel's buffers are full, run fewer operations", behind)
	}
}
