package server_test

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// overHTTP2 runs a test over both kinds of HTTP/2, one after the other: some look at
// the whole process.
func overHTTP2(t *testing.T, change func(*config.Settings), test func(t *testing.T, s *site)) {
	for _, k := range kinds {
		if k.proto != 2 || k.unix || k.proxy != nil {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			s := &site{kind: k, t: t}
			set := s.settings()
			change(set)
			s.start(set)
			test(t, s)
		})
	}
}

// RST_STREAM and GOAWAY carry error codes: RFC 9113, section 7.
const (
	codeInternal = 2
	codeRefused  = 7
	codeCalmDown = 11
)

func (f frame) code() uint32 { return binary.BigEndian.Uint32(f.payload[len(f.payload)-4:]) }

// setting returns a value of the SETTINGS that f is.
func (f frame) setting(id uint16) (value uint32, ok bool) {
	for pair := range slices.Chunk(f.payload, 6) {
		if binary.BigEndian.Uint16(pair) == id {
			return binary.BigEndian.Uint32(pair[2:]), true
		}
	}
	return 0, false
}

// TestMaxStreamsHoldsForEachConnection opens one stream too many, and again when
// another is closed.
func TestMaxStreamsHoldsForEachConnection(t *testing.T) {
	overHTTP2(t, func(set *config.Settings) { set.HTTP.MaxStreams = 12 }, func(t *testing.T, s *site) {
		w := s.raw(t)
		if n, ok := w.until(frameSettings).setting(maxConcurrentStreams); n != 12 {
			t.Errorf("the server announces %d, %v streams, want 12", n, ok)
		}
		open := func(stream uint32) {
			w.get(stream, "/v1/topics/a")
			w.flush()
		}
		for i := range uint32(12) {
			open(2*i + 1)
			w.until(frameHeaders)
		}
		open(25)
		if f := w.until(frameReset); f.stream != 25 || f.code() != codeRefused {
			t.Errorf("the 13th is answered with %+v, want that it is refused", f)
		}
		w.reset(1)
		s.flushAndSee(w, 11)
		open(27)
		w.until(frameHeaders)
		s.wantGauge("weir_connections", 12)
	})
}

// flushAndSee sends what waits, until so many streams are open.
func (s *site) flushAndSee(w *wire, streams int) {
	s.t.Helper()
	w.flush()
	s.wantGauge("weir_connections", streams)
}

// TestRapidResets opens streams and closes them at once, as fast as it goes.
func TestRapidResets(t *testing.T) {
	overHTTP2(t, func(*config.Settings) {}, func(t *testing.T, s *site) {
		other := s.follow("/v1/topics/b", "text/plain")
		s.publish(t, "b", "1")
		other.want("1")
		s.resetMany(t, "/v1/topics/a", 2000) // what is set up once does not count
		s.wantGauge("weir_sockets", 1)
		goroutines, heap := runtime.NumGoroutine(), heapInUse()
		cut := 0
		for _, path := range []string{"/v1/topics/a", "/v1/topics/a?wait=5m"} {
			if s.resetMany(t, path, 2000) {
				cut++
			}
		}
		s.wantGauge("weir_connections", 1)
		s.wantGauge("weir_sockets", 1)
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, "no more memory is left than 4 KiB for each stream", func() bool { return heapInUse()-heap < 16<<20 })
		s.publish(t, "b", "2")
		other.want("2")
		t.Logf("%d of 2 connections were cut", cut)
	})
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // empties pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resetMany uses a connection of its own, and reports whether the server has cut it.
func (s *site) resetMany(t *testing.T, path string, n uint32) (cut bool) {
	w := s.raw(t)
	defer w.Close()
	done := make(chan frame, 1)
	go func() {
		var last frame
		for f, err := w.next(); err == nil; f, err = w.next() {
			last = f
		}
		done <- last
	}()
	for i := range n {
		w.get(2*i+1, path)
		w.reset(2*i + 1)
		if i%100 == 99 && w.flush() != nil {
			break
		}
	}
	w.put(framePing, 0, 0, make([]byte, 8))
	failed := w.flush() != nil
	if failed {
		last := <-done
		if last.kind == frameGoAway && last.code() != codeCalmDown {
			t.Errorf("the server says goodbye with code %d, want %d", last.code(), codeCalmDown)
		}
	}
	return failed
}

// TestStreamWithoutAWindowIsCut has a client that takes nothing of an answer, although
// its connection works.
func TestStreamWithoutAWindowIsCut(t *testing.T) {
	brief := func(set *config.Settings) { set.Stream.UserTimeout = time.Second }
	overHTTP2(t, brief, func(t *testing.T, s *site) {
		s.publish(t, "a", strings.Repeat("x", 100_000))
		other := s.follow("/v1/topics/b", "text/plain")
		paths := []string{"/v1/topics/a?since=start", "/v1/topics/a?since=start&wait=0s"}
		wires := make([]*wire, len(paths))
		began := time.Now()
		for i, path := range paths {
			wires[i] = s.raw(t, initialWindowSize, 0)
			wires[i].get(1, path)
			wires[i].flush()
		}
		for i, w := range wires {
			_ = w.SetReadDeadline(began.Add(5 * time.Second))
			f := w.until(frameReset)
			if took := time.Since(began); f.stream != 1 || f.code() != codeInternal || took < time.Second {
				t.Errorf("%s: %+v after %v", paths[i], f, took)
			}
			w.Close()
		}
		s.wantGauge("weir_connections", 1)
		s.publish(t, "b", "hello")
		other.want("hello")
	})
}

// TestFloodsAreCut sends what costs a client nothing, until the server hangs up.
func TestFloodsAreCut(t *testing.T) {
	const most = 256 << 20 // bytes, after which the server lets everything pass
	overHTTP2(t, func(*config.Settings) {}, func(t *testing.T, s *site) {
		other := s.follow("/v1/topics/b", "text/plain")
		for name, put := range map[string]func(w *wire, i int){
			"PING": func(w *wire, _ int) { w.put(framePing, 0, 0, make([]byte, 8)) },
			"CONTINUATION": func(w *wire, i int) {
				kind := byte(frameContinuation)
				if i == 0 {
					kind = frameHeaders
				}
				w.put(kind, 0, 1, append([]byte{0x00, 0x01, 'x', 0x7f, 0x81, 0x7f}, make([]byte, 16_000)...)) // a field, perhaps
			},
		} {
			w := s.raw(t)
			sent, err := w.flood(put, most)
			if sent >= most || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the server takes %d bytes and does not hang up: %v", name, sent, err)
			}
			w.Close()
		}
		s.publish(t, "b", "hello")
		other.want("hello")
		s.wantGauge("weir_sockets", 1)
	})
}

// flood sends frames and reads nothing, until the server hangs up.
func (w *wire) flood(put func(w *wire, i int), most int) (sent int, err error) {
	for i := 0; sent < most; {
		for range 100 {
			put(w, i)
			i++
		}
		sent += len(w.out)
		if err := w.flush(); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// TestManySettingsCostNoMemory: net/http does not cut these, for it acknowledges many at
// once.
func TestManySettingsCostNoMemory(t *testing.T) {
	overHTTP2(t, func(*config.Settings) {}, func(t *testing.T, s *site) {
		other := s.follow("/v1/topics/b", "text/plain")
		w := s.raw(t)
		heap := heapInUse()
		if _, err := w.flood(func(w *wire, _ int) { w.put(frameSettings, 0, 0, nil) }, 2<<20); err != nil {
			t.Logf("cut: %v", err)
		}
		s.publish(t, "b", "hello")
		other.want("hello")
		if grown := heapInUse() - heap; grown > 4<<20 {
			t.Errorf("%d bytes of memory are held", grown)
		}
	})
}
