package sse_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weirstream/weir/sse"
)

var payloads = []struct {
	name string
	data []byte
}{
	{"bytes=128", filler(128, 0)},
	{"bytes=1024", filler(1024, 0)},
	{"bytes=16384", filler(16384, 0)},
	{"bytes=1024,line=16", filler(1024, 16)},
	{"bytes=16384,line=64", filler(16384, 64)},
}

// filler returns n bytes of text in lines of the given length; 0 is one line.
func filler(n, line int) []byte {
	p := bytes.Repeat([]byte{'x'}, n)
	for i := line; line > 0 && i < n; i += line {
		p[i] = '\n'
	}
	return p
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, p := range payloads {
		b.Run(p.name, func(b *testing.B) {
			e := sse.Event{Type: "price", ID: "a3kx7q2m-1234567", Data: p.data}
			dst := make([]byte, 0, sse.EncodedLen(e))
			b.ReportAllocs()
			b.SetBytes(int64(len(p.data)))
			for b.Loop() {
				if _, err := sse.AppendEvent(dst, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodedLen(b *testing.B) {
	for _, p := range payloads {
		b.Run(p.name, func(b *testing.B) {
			e := sse.Event{Type: "price", ID: "a3kx7q2m-1234567", Data: p.data}
			b.ReportAllocs()
			b.SetBytes(int64(len(p.data)))
			for b.Loop() {
				sse.EncodedLen(e)
			}
		})
	}
}

// One stretch of line ends of a kind must cost no more per byte than another:
// the time of these must grow with the bytes, not with their square.
func BenchmarkAppendEventOfLineEnds(b *testing.B) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		for _, n := range []int{1 << 10, 1 << 16} {
			b.Run(fmt.Sprintf("end=%q,bytes=%d", end, n), func(b *testing.B) {
				e := sse.Event{Data: bytes.Repeat([]byte(end), n/len(end))}
				dst := make([]byte, 0, sse.EncodedLen(e))
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := sse.AppendEvent(dst, e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecoderFeed(b *testing.B) {
	for _, p := range payloads {
		b.Run(p.name, func(b *testing.B) {
			wire, err := sse.AppendEvent(nil, sse.Event{Type: "price", ID: "a3kx7q2m-1234567", Data: p.data})
			if err != nil {
				b.Fatal(err)
			}
			var d sse.Decoder
			count := 0
			fn := func(sse.Event) error { count++; return nil }
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				if err := d.Feed(wire, fn); err != nil {
					b.Fatal(err)
				}
			}
			if count == 0 {
				b.Fatal("no event decoded")
			}
		})
	}
}
