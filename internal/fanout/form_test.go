package fanout_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

var forms = []struct {
	form fanout.Form
	name string
}{{fanout.Events, "events"}, {fanout.Envelope, "envelope"}, {fanout.Lines, "lines"}, {fanout.Text, "text"}}

var formCases = []struct {
	name    string
	message eventlog.Message
}{
	{"plain", eventlog.Message{Topics: []string{"orders/eu"}, Data: []byte("hello")}},
	{"all_fields", eventlog.Message{
		Topics: []string{"orders/eu", "audit"}, Type: "price", ID: "order:17", Key: "customer/4", Retry: 1500 * time.Millisecond, Data: []byte(`{"price":"1 <b>&"}`),
	}},
	{"empty", eventlog.Message{Topics: []string{"t"}}},
	{"text", eventlog.Message{Topics: []string{"straße/\U0001F30A"}, Data: []byte("first\nsecond\r\nthird\u2028\U0001F30A\x00 \" \\ end\n")}},
	{"not_utf8", eventlog.Message{Topics: []string{"t"}, Data: []byte("\x89PNG\r\n\x1a\n\xff")}},
	{"forgery", eventlog.Message{Topics: []string{"t"}, Data: []byte("x\n\nevent: weir.gap\nid: 9\ndata: y\n\n0\r\n\r\n")}},
}

// TestFormsMatchGoldenFiles shows each message in every form.
func TestFormsMatchGoldenFiles(t *testing.T) {
	enc := fanout.NewEncoder("abcdefgh")
	for _, c := range formCases {
		e := &eventlog.Entry{Message: c.message, Seq: 41, Time: time.Date(2024, 2, 29, 23, 59, 58, 7_654_321, time.FixedZone("", 3600))}
		var got []byte
		for _, f := range forms {
			frame := enc.Frame(e, f.form, false)
			got = fmt.Appendf(got, "-- %s --\n%s", f.name, frame)
			if framed, want := enc.Frame(e, f.form, true), fmt.Appendf(nil, "%x\r\n%s\r\n", len(frame), frame); !bytes.Equal(framed, want) {
				t.Errorf("%s as a chunk of %s is %q, want %q", c.name, f.name, framed, want)
			}
		}
		compareGolden(t, c.name, got)
	}
}

// TestNoticesMatchGoldenFiles shows what else may be on a stream.
func TestNoticesMatchGoldenFiles(t *testing.T) {
	enc := fanout.NewEncoder("abcdefgh")
	kept := eventlog.Bounds{Oldest: 12, Newest: 99, Lost: 11, Entries: 80}
	for name, encode := range map[string]func(f fanout.Form) []byte{
		"ready":    func(f fanout.Form) []byte { return enc.Ready(f, 11) },
		"farewell": func(f fanout.Form) []byte { return fanout.Farewell(f, 2345678*time.Microsecond) },
		"notice": func(f fanout.Form) []byte {
			return fanout.Notice(f, "weir.expiring", []byte(`{"expires":"2026-11-21T15:04:05Z","seconds":30,"note":"<&>"}`))
		},
		"notice_of_a_program": func(f fanout.Form) []byte { return fanout.Notice(f, "a.\"b\"", []byte(`[]`)) },
		"gap": func(f fanout.Form) []byte {
			return enc.Gap(f, enc.NewGap(fanout.ReasonExpired, "abcdefgh-3", fanout.Diff, kept, 11))
		},
		"gap_nothing_kept": func(f fanout.Form) []byte {
			return enc.Gap(f, enc.NewGap(fanout.ReasonUnknown, "a \"b\"\n<c>", fanout.All, eventlog.Bounds{}, 7))
		},
	} {
		var got []byte
		for _, f := range forms {
			got = fmt.Appendf(got, "-- %s --\n%s", f.name, encode(f.form))
		}
		compareGolden(t, name, got)
	}
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

// TestPoliciesHaveNames also holds that the zero value has none.
func TestPoliciesHaveNames(t *testing.T) {
	for want, s := range map[string]fmt.Stringer{
		"": fanout.Policy(0), "diff": fanout.Diff, "all": fanout.All, "reset": fanout.Reset,
		"catch-up": fanout.CatchUp, "latest": fanout.Latest, "close": fanout.Cut,
	} {
		if s.String() != want {
			t.Errorf("%#v is %q, want %q", s, s, want)
		}
	}
}
