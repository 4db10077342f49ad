package durable_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/durable"
)

// BenchmarkAppend appends 128 bytes through one handler, without sockets: to one stream
// by one client after the other, to one stream by many at once, and to a stream each.
func BenchmarkAppend(b *testing.B) {
	for _, producer := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "producer"}[producer]
		b.Run(name+"/one", func(b *testing.B) {
			bench := newBench(b, producer)
			bench.create("a")
			for i := 0; b.Loop(); i++ {
				bench.append("a", "p", i)
			}
		})
		b.Run(name+"/shared", func(b *testing.B) {
			bench := newBench(b, producer)
			bench.create("a")
			bench.parallel(func(int64) string { return "a" })
		})
		b.Run(name+"/own", func(b *testing.B) {
			bench := newBench(b, producer)
			bench.parallel(func(n int64) string {
				name := fmt.Sprint("s", n)
				bench.create(name)
				return name
			})
		})
	}
}

type bench struct {
	*testing.B
	durable  *durable.Handler
	producer bool
}

func newBench(b *testing.B, producer bool) *bench {
	h, err := hub.New(hub.Options{})
	if err != nil {
		b.Fatal(err)
	}
	d := durable.New(h, options())
	b.Cleanup(func() {
		d.Close()
		h.Close()
	})
	b.ReportAllocs()
	return &bench{b, d, producer}
}

// parallel appends from several goroutines, to streams that stream names.
func (b *bench) parallel(stream func(goroutine int64) string) {
	var goroutines atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		n := goroutines.Add(1)
		name, producer := stream(n), fmt.Sprint("p", n)
		for i := 0; pb.Next(); i++ {
			b.append(name, producer, i)
		}
	})
}

func (b *bench) create(name string) { b.send("PUT", name, "", 201, []string{text}) }

var benchBody = strings.Repeat("x", 128)

func (b *bench) append(stream, producer string, seq int) {
	if b.producer {
		b.send("POST", stream, benchBody, 200, by(producer, 0, seq))
	} else {
		b.send("POST", stream, benchBody, 204, []string{text})
	}
}

func (b *bench) send(method, name, body string, want int, header []string) {
	r := httptest.NewRequest(method, "http://weir.test"+prefix+name, strings.NewReader(body))
	setHeader(r, header)
	w := httptest.NewRecorder()
	b.durable.ServeHTTP(w, r)
	if w.Code != want {
		b.Errorf("%s %s: %d %s", method, name, w.Code, w.Body)
	}
}
