package sse_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/sse"
)

// However a stream is cut, it says the same, which is what the model says.
func FuzzSplitReadsAgree(f *testing.F) {
	for _, c := range decodeCases {
		f.Add([]byte(c.stream), []byte{1, 0, 3, 7}, uint16(0))
		f.Add([]byte(c.stream), []byte{1}, uint16(9))
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit uint16) {
		whole := decodePieces(int(limit), stream)
		if got := decodePieces(int(limit), split(stream, cuts)...); !reflect.DeepEqual(got, whole) {
			t.Errorf("stream %q, cuts %v:\n  cut %+v\nwhole %+v", stream, cuts, got, whole)
		}
		if got := decodePieces(int(limit), split(stream, []byte{1})...); !reflect.DeepEqual(got, whole) {
			t.Errorf("stream %q, byte by byte:\n  cut %+v\nwhole %+v", stream, got, whole)
		}
		if whole.err != "" {
			return
		}
		if want := model(string(stream)); !reflect.DeepEqual(whole, want) {
			t.Errorf("stream %q:\n  got %+v\nmodel %+v", stream, whole, want)
		}
	})
}

// What goes in as one event comes out as that event, between its neighbours, or
// is refused.
func FuzzNoFieldForgesAnother(f *testing.F) {
	f.Add("price", "41", []byte("a\r\nb"), false, false, int64(2e9), "beat")
	f.Add("", "", []byte(""), true, true, int64(0), "")
	f.Add("a\nid: 2", "1\x00", []byte("\n\nid: 3\n\n"), false, false, int64(-1), "\n\ndata: x\n\n")
	f.Add(" a", ":", []byte("\uFEFF\r\r\n\xff"), false, false, int64(1<<62), "a\rb")
	f.Fuzz(func(t *testing.T, typ, id string, data []byte, noData, reset bool, retry int64, comment string) {
		e := sse.Event{Type: typ, ID: id, Data: data, Retry: time.Duration(retry), ResetID: reset}
		if noData {
			e.Data = nil
		} else if data == nil {
			e.Data = []byte{}
		}
		before := sse.AppendComment([]byte("id: before\ndata: before\n\n"), comment)
		wire, err := sse.AppendEvent(before, e)
		if bad := !clean(typ) || !clean(id) || reset && id != "" || retry < 0; bad != errors.Is(err, sse.ErrField) {
			t.Fatalf("AppendEvent(%+v): error %v", e, err)
		}
		if err != nil {
			if !bytes.Equal(wire, before) {
				t.Errorf("AppendEvent(%+v) changed dst to %q", e, wire)
			}
			return
		}
		if got, want := sse.EncodedLen(e), len(wire)-len(before); got != want {
			t.Errorf("EncodedLen(%+v) = %d, want %d", e, got, want)
		}
		got := decodePieces(1<<30, append(wire, "data: after\n\n"...))
		want := []sse.Event{{ID: "before", Data: []byte("before")}, arrives(e), {Data: []byte("after")}}
		if reflect.DeepEqual(want[1], sse.Event{}) {
			want = append(want[:1], want[2])
		}
		if !reflect.DeepEqual(got.events, want) {
			t.Errorf("%q decodes as\n got %+v\nwant %+v", wire, got.events, want)
		}
		if got, want := strings.Join(got.comments, "\n"), newlines(comment); got != want {
			t.Errorf("comment %q arrives as %q, want %q", comment, got, want)
		}
	})
}

// Any bytes decode to events; those that can be written read back alike.
func FuzzDecodeNeverPanics(f *testing.F) {
	for _, c := range decodeCases {
		f.Add([]byte(c.stream))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		events, err := readAll(sse.NewReader(iotest.HalfReader(bytes.NewReader(stream))))
		if err != io.EOF && !errors.Is(err, sse.ErrTooLarge) {
			t.Fatalf("stream %q: error %v", stream, err)
		}
		for _, e := range events {
			wire, err := sse.AppendEvent(nil, e)
			if bad := !clean(e.Type) || !clean(e.ID); bad != (err != nil) {
				t.Errorf("AppendEvent(%+v): error %v", e, err)
			}
			if err != nil {
				continue
			}
			if got := decodePieces(1<<30, wire).events; !reflect.DeepEqual(got, []sse.Event{e}) {
				t.Errorf("%+v comes back as %+v", e, got)
			}
		}
	})
}

// decodePieces feeds pieces to one Decoder. An empty piece must change nothing.
func decodePieces(limit int, pieces ...[]byte) decoded {
	var out decoded
	d := sse.Decoder{MaxEvent: limit}
	d.OnComment = func(text string) { out.comments = append(out.comments, text) }
	for _, piece := range pieces {
		err := d.Feed(bytes.Clone(piece), func(e sse.Event) error {
			e.Data = bytes.Clone(e.Data)
			out.events = append(out.events, e)
			return nil
		})
		if err != nil {
			out.err = err.Error()
		}
	}
	out.lastID = d.LastEventID()
	out.retry, out.hasRetry = d.Retry()
	return out
}

// split cuts p into pieces of the given lengths, over and over.
func split(p, lengths []byte) (pieces [][]byte) {
	for i := 0; len(p) > 0 && len(lengths) > 0; i++ {
		n := min(int(lengths[i%len(lengths)]), len(p))
		if n == 0 && i >= len(lengths) {
			n = 1
		}
		pieces = append(pieces, p[:n])
		p = p[n:]
	}
	return append(pieces, p)
}

// arrives is e as a reader gets it.
func arrives(e sse.Event) sse.Event {
	e.Retry = e.Retry.Truncate(time.Millisecond)
	if e.Data != nil {
		e.Data = []byte(newlines(string(e.Data)))
	}
	return e
}

func newlines(s string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00")
}
