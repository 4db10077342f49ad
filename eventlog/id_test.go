package eventlog_test

import (
	"math"
	"testing"

	"github.com/weirstream/weir/eventlog"
)

func TestParseIDTakesOnlyWhatFormatIDMakes(t *testing.T) {
	for _, c := range []struct {
		id    string
		epoch string
		seq   uint64
		ok    bool
	}{
		{"k3v7qa2m-1042", "k3v7qa2m", 1042, true},
		{"aaaaaaaa-0", "aaaaaaaa", 0, true},
		{"zzzz7777-18446744073709551615", "zzzz7777", math.MaxUint64, true},
		{id: "zzzz7777-18446744073709551616"},
		{id: "aaaaaaaa-01"},
		{id: "aaaaaaaa-"},
		{id: "aaaaaaaa"},
		{id: "aaaaaaaa--1"},
		{id: "aaaaaaaa-+1"},
		{id: "aaaaaaaa-1_0"},
		{id: "aaaaaaaa-1 "},
		{id: "aaaaaaaa-1-1"},
		{id: "aaaaaaa-1"},
		{id: "aaaaaaaaa-1"},
		{id: "aaaaaaa1-1"},
		{id: "aaaAaaaa-1"},
		{id: "aaa\x00aaaa-1"},
		{id: "-1"},
		{id: ""},
	} {
		epoch, seq, ok := eventlog.ParseID(c.id)
		if epoch != c.epoch || seq != c.seq || ok != c.ok {
			t.Errorf("ParseID(%q) = %q, %d, %v; want %q, %d, %v", c.id, epoch, seq, ok, c.epoch, c.seq, c.ok)
		}
		if c.ok && eventlog.FormatID(c.epoch, c.seq) != c.id {
			t.Errorf("FormatID(%q, %d) = %q, want %q", c.epoch, c.seq, eventlog.FormatID(c.epoch, c.seq), c.id)
		}
	}
}

func TestAppendIDAllocs(t *testing.T) {
	dst := make([]byte, 0, 29)
	if n := testing.AllocsPerRun(100, func() { dst = eventlog.AppendID(dst[:0], "zzzz7777", math.MaxUint64) }); n != 0 {
		t.Errorf("AppendID allocates %v times, want 0", n)
	}
	if string(dst) != "zzzz7777-18446744073709551615" {
		t.Errorf("AppendID = %q", dst)
	}
}

func FuzzParseIDFormatIDRoundTrip(f *testing.F) {
	f.Add("k3v7qa2m-1042")
	f.Add("aaaaaaaa-00")
	f.Fuzz(func(t *testing.T, id string) {
		epoch, seq, ok := eventlog.ParseID(id)
		if ok && eventlog.FormatID(epoch, seq) != id {
			t.Errorf("ParseID(%q) = %q, %d; FormatID of that is %q", id, epoch, seq, eventlog.FormatID(epoch, seq))
		}
		if !ok && (epoch != "" || seq != 0) {
			t.Errorf("ParseID(%q) = %q, %d, false", id, epoch, seq)
		}
	})
}
