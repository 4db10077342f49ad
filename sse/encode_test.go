package sse_test

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// Each case is one golden file. A file may hold several events.
var goldenCases = []struct {
	name   string
	events []sse.Event
}{
	{"all_fields", []sse.Event{{Type: "price", ID: "41", Retry: 2 * time.Second, Data: []byte("first line\nsecond line")}}},
	{"zero", []sse.Event{{}}},
	{"type_only", []sse.Event{{Type: "ping"}}},
	{"id_only", []sse.Event{{ID: "a3kx7q2m-41"}}},
	{"reset_id", []sse.Event{{ResetID: true}, {ResetID: true, Data: []byte("x")}}},
	{"retry", []sse.Event{
		{Retry: 1},
		{Retry: time.Millisecond},
		{Retry: 1999 * time.Microsecond},
		{Retry: math.MaxInt64},
	}},
	{"data_nil_empty_text", []sse.Event{{ID: "1"}, {ID: "2", Data: []byte{}}, {ID: "3", Data: []byte("x")}}},
	{"line_ends", []sse.Event{
		sse.Text("a\nb"), sse.Text("a\rb"), sse.Text("a\r\nb"),
		sse.Text("\n"), sse.Text("\r"), sse.Text("\r\n"),
		sse.Text("\n\r"), sse.Text("\r\r\n"), sse.Text("\r\n\r"), sse.Text("a\n\n\rb\r"),
	}},
	{"spaces_and_colons", []sse.Event{{Type: " a: b ", ID: ":1 ", Data: []byte(" x\n: y\ndata: z\n\tid: 9")}}},
	{"bytes_as_they_are", []sse.Event{{
		Type: "\uFEFFtemp\u00e9rature", ID: "\u00e9\t\uFFFD",
		Data: []byte("\uFEFF\x00 \xff\xfe \U0001F30A \u2028 \v\f\u0085"),
	}}},
}

func TestEncodingMatchesGoldenFiles(t *testing.T) {
	for _, c := range goldenCases {
		t.Run(c.name, func(t *testing.T) {
			compareGolden(t, c.name, encode(t, c.events...))
		})
	}
}

func TestCommentsMatchGoldenFile(t *testing.T) {
	var got []byte
	for _, text := range []string{"", "hello", " two spaces", ":", "a\nb", "a\rb", "a\r\nb", "a\n\nb\n", "data: x\n\ndata: y"} {
		got = sse.AppendComment(got, text)
	}
	compareGolden(t, "comments", got)
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", path, got, want)
	}
}

func TestEncodedLenIsExact(t *testing.T) {
	for _, c := range goldenCases {
		for _, e := range c.events {
			if got, want := sse.EncodedLen(e), len(encode(t, e)); got != want {
				t.Errorf("%s: EncodedLen(%+v) = %d, want %d", c.name, e, got, want)
			}
		}
	}
}

func TestAppendRetryRoundsDownAndNeverBelowZero(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "retry: 0\n",
		-time.Second:            "retry: 0\n",
		999 * time.Microsecond:  "retry: 0\n",
		2500 * time.Millisecond: "retry: 2500\n",
	} {
		if got := string(sse.AppendRetry([]byte("x"), d)); got != "x"+want {
			t.Errorf("AppendRetry(%q, %v) = %q, want %q", "x", d, got, "x"+want)
		}
	}
}

func TestUnsafeFieldsAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		event sse.Event
		want  string
	}{
		{sse.Event{Type: "a\nb"}, `event "a\nb": line feed at byte 1`},
		{sse.Event{Type: "a\r"}, `event "a\r": carriage return at byte 1`},
		{sse.Event{Type: "\x00"}, `event "\x00": NUL at byte 0`},
		{sse.Event{Type: "\u00e9\xff"}, `event "` + "\u00e9" + `\xff": invalid UTF-8 at byte 2`},
		{sse.Event{ID: "1\n\ndata: forged"}, `id "1\n\ndata: forged": line feed at byte 1`},
		{sse.Event{ID: "12\r"}, `id "12\r": carriage return at byte 2`},
		{sse.Event{ID: "1\x002"}, `id "1\x002": NUL at byte 1`},
		{sse.Event{ID: "\xc3"}, `id "\xc3": invalid UTF-8 at byte 0`},
		{sse.Event{ID: strings.Repeat("x", 100) + "\n"}, `id "` + strings.Repeat("x", 64) + `": line feed at byte 100`},
		{sse.Event{ID: "7", ResetID: true}, `id "7": ResetID is set, which wants it empty`},
		{sse.Event{Retry: -time.Second}, "retry is -1s, least 0s"},
	} {
		dst, err := sse.AppendEvent([]byte("kept"), c.event)
		if want := "sse: bad field: " + c.want; err == nil || err.Error() != want || !errors.Is(err, sse.ErrField) {
			t.Errorf("AppendEvent(%+v): error %v, want %s", c.event, err, want)
		}
		if string(dst) != "kept" {
			t.Errorf("AppendEvent(%+v) changed dst to %q", c.event, dst)
		}
	}
}

func TestChecksAgreeWithAppendEvent(t *testing.T) {
	for _, s := range []string{"", "a", "a b", "\uFFFD", "\n", "\r", "\x00", "\xff", "\u0085\u2028"} {
		_, typeErr := sse.AppendEvent(nil, sse.Event{Type: s})
		_, idErr := sse.AppendEvent(nil, sse.Event{ID: s})
		if got := sse.CheckType(s); (got == nil) != (typeErr == nil) {
			t.Errorf("CheckType(%q) = %v, but AppendEvent says %v", s, got, typeErr)
		}
		if got := sse.CheckID(s); (got == nil) != (idErr == nil) {
			t.Errorf("CheckID(%q) = %v, but AppendEvent says %v", s, got, idErr)
		}
	}
}

func TestTextOfNothingHasADataLine(t *testing.T) {
	if got := string(encode(t, sse.Text(""))); got != "data: \n\n" {
		t.Errorf("Text(\"\") encodes as %q, want one empty data line", got)
	}
}

func TestJSONIsOneLineOrAnError(t *testing.T) {
	e, err := sse.JSON("point", map[string]any{"label": "a\r\nb", "x": 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(encode(t, e)), "event: point\ndata: {\"label\":\"a\\r\\nb\",\"x\":1}\n\n"; got != want {
		t.Errorf("JSON encodes as %q, want %q", got, want)
	}
	if _, err := sse.JSON("point", math.NaN()); err == nil {
		t.Error("JSON of NaN: no error")
	}
}

func TestAppendEventAllocs(t *testing.T) {
	dst := make([]byte, 0, 4096)
	e := sse.Event{Type: "price", ID: "a3kx7q2m-1234567", Retry: time.Second, Data: []byte(strings.Repeat("some text\r\nmore\rtext\n", 40))}
	long := strings.Repeat("heartbeat\r\n", 20)
	got := testing.AllocsPerRun(100, func() {
		b, err := sse.AppendEvent(dst, e)
		if err != nil || len(b) != sse.EncodedLen(e) {
			t.Fatalf("AppendEvent: %d bytes, error %v", len(b), err)
		}
		b = sse.AppendComment(b[:0], long)
		sse.AppendRetry(b, time.Hour)
	})
	if got != 0 {
		t.Errorf("encoding into a slice with room: %v allocations, want 0", got)
	}
}

// encode returns the wire form of events.
func encode(t *testing.T, events ...sse.Event) []byte {
	t.Helper()
	var dst []byte
	for _, e := range events {
		var err error
		if dst, err = sse.AppendEvent(dst, e); err != nil {
			t.Fatalf("AppendEvent(%+v): %v", e, err)
		}
	}
	return dst
}
