package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

func data(s string) []byte { return []byte(s) }

var decodeCases = []struct {
	name   string
	stream string
	want   []sse.Event
	lastID string
}{
	// Source: WHATWG HTML, "Server-sent events", the examples of the sections
	// "Introduction" and "Interpreting an event stream".
	{"standard: three messages",
		"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\ndata: This is the third message.\n\n",
		[]sse.Event{
			{Data: data("This is the first message.")},
			{Data: data("This is the second message, it\nhas two lines.")},
			{Data: data("This is the third message.")},
		}, ""},
	{"standard: named events",
		"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
		[]sse.Event{
			{Type: "add", Data: data("73857293")},
			{Type: "remove", Data: data("2153")},
			{Type: "add", Data: data("113411")},
		}, ""},
	{"standard: stock ticker", "data: YHOO\ndata: +2\ndata: 10\n\n", []sse.Event{{Data: data("YHOO\n+2\n10")}}, ""},
	{"standard: four blocks, the last without its end",
		": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
		[]sse.Event{{Data: data("first event"), ID: "1"}, {Data: data("second event"), ResetID: true}}, ""},
	{"standard: four blocks",
		": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
		[]sse.Event{{Data: data("first event"), ID: "1"}, {Data: data("second event"), ResetID: true}, {Data: data(" third event")}}, ""},
	{"standard: empty data, two empty lines, and no end", "data\n\ndata\ndata\n\ndata:", []sse.Event{{Data: data("")}, {Data: data("\n")}}, ""},
	{"standard: the space is optional", "data:test\n\ndata: test\n\n", []sse.Event{{Data: data("test")}, {Data: data("test")}}, ""},

	{"no stream", "", nil, ""},
	{"blank lines", "\n\r\r\n\n", nil, ""},
	{"CR", "data: a\rdata: b\r\r", []sse.Event{{Data: data("a\nb")}}, ""},
	{"CRLF", "data: a\r\ndata: b\r\n\r\n", []sse.Event{{Data: data("a\nb")}}, ""},
	{"mixed line ends", "data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\rdata: e\r\n\n", []sse.Event{{Data: data("a\nb\nc")}, {Data: data("d")}, {Data: data("e")}}, ""},
	{"line ends that are none", "data: a\vb\fc\u0085d\u2028e\n\n", []sse.Event{{Data: data("a\vb\fc\u0085d\u2028e")}}, ""},
	{"byte order mark", "\uFEFFdata: a\n\n", []sse.Event{{Data: data("a")}}, ""},
	{"byte order mark before a blank line", "\uFEFF\ndata: a\n\n", []sse.Event{{Data: data("a")}}, ""},
	{"two byte order marks", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []sse.Event{{Data: data("b")}}, ""},
	{"byte order mark on the second line", "data: a\n\uFEFFdata: b\n\n", []sse.Event{{Data: data("a")}}, ""},
	{"byte order mark after a blank line", "\n\uFEFFdata: b\n\n", nil, ""},

	{"unknown fields", "Data: a\ndatas: b\n data: c\ndata : d\nfoo\ndata: e\n\n", []sse.Event{{Data: data("e")}}, ""},
	{"unknown fields alone", "foo: bar\n\n", nil, ""},
	{"colons in values", "data: a: b\nid::1\nevent:: \n\n", []sse.Event{{Data: data("a: b"), ID: ":1", Type: ": "}}, ":1"},
	{"only one space goes", "data:   a \n\n", []sse.Event{{Data: data("  a ")}}, ""},
	{"a tab stays", "data:\ta\n\n", []sse.Event{{Data: data("\ta")}}, ""},
	{"NUL in data and type", "event: a\x00\ndata: \x00\n\n", []sse.Event{{Type: "a\x00", Data: data("\x00")}}, ""},
	{"not UTF-8", "data: \xff\n\n", []sse.Event{{Data: data("\xff")}}, ""},

	{"the last type counts, for one block", "event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", []sse.Event{{Type: "b", Data: data("1")}, {Data: data("2")}}, ""},
	{"an empty type is none", "event: a\nevent\ndata: 1\n\n", []sse.Event{{Data: data("1")}}, ""},
	{"type without data", "event: a\n\n", []sse.Event{{Type: "a"}}, ""},

	{"ID without data counts", "id: 1\n\n", []sse.Event{{ID: "1"}}, "1"},
	{"ID stays but is told once", "id: 1\ndata: a\n\ndata: b\n\n", []sse.Event{{ID: "1", Data: data("a")}, {Data: data("b")}}, "1"},
	{"the last ID of a block counts", "id\nid: 1\nid: 2\n\n", []sse.Event{{ID: "2"}}, "2"},
	{"empty ID resets", "id: 1\n\nid:\n\n", []sse.Event{{ID: "1"}, {ResetID: true}}, ""},
	{"ID with NUL is no ID", "id: 1\n\nid: 2\x00\ndata: a\n\nid: \x00\n\n", []sse.Event{{ID: "1"}, {Data: data("a")}}, "1"},
	{"ID of an incomplete block does not count", "id: 1\n\nid: 2\ndata: a\n", []sse.Event{{ID: "1"}}, "1"},

	{"retry", "retry: 2500\n\n", []sse.Event{{Retry: 2500 * time.Millisecond}}, ""},
	{"retry of a block is told once", "retry:1\ndata\n\ndata\n\n", []sse.Event{{Retry: time.Millisecond, Data: data("")}, {Data: data("")}}, ""},
	{"retry takes digits only", "retry: 1s\nretry: -1\nretry: +1\nretry:  1\nretry: 1.5\nretry: \u0661\nretry\n\n", nil, ""},
	{"retry has a largest value", "retry: 99999999999999999999999999\n\n", []sse.Event{{Retry: math.MaxInt64 / time.Millisecond * time.Millisecond}}, ""},
	{"comments", ":\n: a\n:b\n:: c\n\ndata: x\n:inside\ndata: y\n\n", []sse.Event{{Data: data("x\ny")}}, ""},
}

func TestDecoding(t *testing.T) {
	for _, c := range decodeCases {
		t.Run(c.name, func(t *testing.T) {
			var d sse.Decoder
			got := feed(t, &d, c.stream)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("Feed(%q):\n got %+v\nwant %+v", c.stream, got, c.want)
			}
			if got := d.LastEventID(); got != c.lastID {
				t.Errorf("Feed(%q): LastEventID() = %q, want %q", c.stream, got, c.lastID)
			}
		})
	}
}

func TestDecodingAgreesWithModel(t *testing.T) {
	for _, c := range decodeCases {
		if got := model(c.stream); !reflect.DeepEqual(got.events, c.want) || got.lastID != c.lastID {
			t.Errorf("%s: model(%q) = %+v, %q", c.name, c.stream, got.events, got.lastID)
		}
	}
}

func TestDecodingEndsEventsAtCRWithoutWaiting(t *testing.T) {
	var d sse.Decoder
	if got := feed(t, &d, "data: a\r\n\r"); len(got) != 1 {
		t.Errorf("after the CR of the blank line: %d events, want 1", len(got))
	}
	if got := feed(t, &d, "\ndata: b\n\n"); len(got) != 1 || string(got[0].Data) != "b" {
		t.Errorf("after its LF and another event: %+v, want one event with data b", got)
	}
}

func TestRetryCountsBeforeItsBlockEnds(t *testing.T) {
	var d sse.Decoder
	if got, ok := d.Retry(); ok {
		t.Errorf("new decoder: Retry() = %v, true", got)
	}
	for _, c := range []struct {
		line string
		want time.Duration
	}{{"retry: 30\n", 30 * time.Millisecond}, {"retry: soon\n", 30 * time.Millisecond}, {"retry: 0\n", 0}} {
		feed(t, &d, c.line)
		if got, ok := d.Retry(); got != c.want || !ok {
			t.Errorf("after %q: Retry() = %v, %v, want %v, true", c.line, got, ok, c.want)
		}
	}
}

func TestCommentsAreReported(t *testing.T) {
	var got []string
	d := sse.Decoder{OnComment: func(text string) { got = append(got, text) }}
	feed(t, &d, ":\n: a\n:b\n::  c\n\ndata: x\n:  inside\n\n:incomplete")
	if want := []string{"", "a", "b", ":  c", " inside"}; !reflect.DeepEqual(got, want) {
		t.Errorf("comments %q, want %q", got, want)
	}
}

func TestResetKeepsTheResumePointOnly(t *testing.T) {
	var d sse.Decoder
	feed(t, &d, "id: 1\nretry: 7\n\nid: 2\nevent: lost\ndata: lost\npart")
	d.Reset()
	got := feed(t, &d, "\uFEFFdata: new\n\n")
	if want := []sse.Event{{Data: data("new")}}; !reflect.DeepEqual(got, want) {
		t.Errorf("after Reset: %+v, want %+v", got, want)
	}
	if got := d.LastEventID(); got != "1" {
		t.Errorf("after Reset: LastEventID() = %q, want %q", got, "1")
	}
	if got, ok := d.Retry(); got != 7*time.Millisecond || !ok {
		t.Errorf("after Reset: Retry() = %v, %v, want 7ms, true", got, ok)
	}
}

func TestResetForgetsHalfALineEnd(t *testing.T) {
	var d sse.Decoder
	feed(t, &d, "data: a\r")
	d.Reset()
	// The LF is a line of its own now, so the byte order mark comes too late.
	if got := feed(t, &d, "\n\uFEFFdata: b\n\n"); len(got) != 0 {
		t.Errorf("after Reset: %+v, want no event", got)
	}
}

func TestEventsAtTheLimitPassAndBeyondItFail(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		limit, pass  int
	}{
		{"whole line", "data: 89\n\n", 8, 1},
		{"whole line too long", "data: 890\n\n", 8, 0},
		{"lines add up", "data: 1\nid: 2\n\n", 12, 1},
		{"lines add up too far", "data: 1\nid: 2\n\n", 11, 0},
		{"unknown fields count", "data: 1\nnone: 2\n\n", 11, 0},
		{"events do not add up", "data: 1\n\ndata: 2\n\n", 8, 2},
		{"comments do not add up", ":23\n:23\ndata\n:23\n:23\n\n", 4, 1},
		{"a comment too long", "data\n\n:2345\n\n", 4, 1},
		{"events before it pass", "data: 1\n\ndata: 234\n\ndata: 5\n\n", 8, 1},
		{"a byte order mark counts", "\uFEFFdata: 1\n\n", 9, 0},
	} {
		d := sse.Decoder{MaxEvent: c.limit}
		var got int
		err := d.Feed([]byte(c.stream), func(sse.Event) error { got++; return nil })
		if fails := strings.Count(c.stream, "\n\n") > c.pass; fails != errors.Is(err, sse.ErrTooLarge) {
			t.Errorf("%s: Feed(%q) with limit %d: error %v", c.name, c.stream, c.limit, err)
		}
		if got != c.pass {
			t.Errorf("%s: Feed(%q) with limit %d: %d events, want %d", c.name, c.stream, c.limit, got, c.pass)
		}
	}
}

func TestTooLargeNamesTheLimitAndLasts(t *testing.T) {
	d := sse.Decoder{MaxEvent: 8}
	want := "sse: event too large: at least 9 bytes, limit 8"
	for _, chunk := range []string{"data: 8901234", "\n\ndata: 1\n\n"} {
		err := d.Feed([]byte(chunk), noEvent(t))
		if err == nil || err.Error() != want {
			t.Errorf("Feed(%q): error %v, want %s", chunk, err, want)
		}
	}
	d.Reset()
	if got := feed(t, &d, "data: 1\n\n"); len(got) != 1 {
		t.Errorf("after Reset: %d events, want 1", len(got))
	}
}

func TestTheDefaultLimitApplies(t *testing.T) {
	var d sse.Decoder
	line := "data:" + strings.Repeat("x", sse.DefaultMaxEvent-len("data:"))
	if got := feed(t, &d, line+"\n\n"); len(got) != 1 {
		t.Errorf("event of DefaultMaxEvent bytes: %d events, want 1", len(got))
	}
	if err := d.Feed([]byte(line+"x"), noEvent(t)); !errors.Is(err, sse.ErrTooLarge) {
		t.Errorf("one byte more: error %v, want ErrTooLarge", err)
	}
}

func TestFeedStopsAtTheErrorOfItsCallback(t *testing.T) {
	var d sse.Decoder
	stop := errors.New("enough")
	calls := 0
	fn := func(sse.Event) error { calls++; return stop }
	for range 2 {
		if err := d.Feed([]byte("data: 1\n\ndata: 2\n\n"), fn); err != stop {
			t.Errorf("Feed: error %v, want %v", err, stop)
		}
	}
	if calls != 1 {
		t.Errorf("callback ran %d times, want 1", calls)
	}
}

func TestFeedAllocsOnlyForNewIDs(t *testing.T) {
	stream := bytes.Repeat([]byte("event: price\ndata: some text\ndata: more text\n\n: beat\n"), 20)
	d := sse.Decoder{}
	count := 0
	fn := func(sse.Event) error { count++; return nil }
	got := testing.AllocsPerRun(100, func() {
		d.Feed(stream[:len(stream)/3], fn)
		d.Feed(stream[len(stream)/3:], fn)
	})
	if got != 0 || count == 0 {
		t.Errorf("Feed of events without ID: %v allocations for %d events, want 0", got, count)
	}
}

// feed feeds one chunk and returns the events, which own their data.
func feed(t *testing.T, d *sse.Decoder, chunk string) []sse.Event {
	t.Helper()
	var events []sse.Event
	err := d.Feed([]byte(chunk), func(e sse.Event) error {
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatalf("Feed(%q): %v", chunk, err)
	}
	return events
}

func noEvent(t *testing.T) func(sse.Event) error {
	return func(e sse.Event) error {
		t.Helper()
		return fmt.Errorf("unexpected event %+v", e)
	}
}
