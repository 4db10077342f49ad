package config_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

func TestFormattedDurationsReadBack(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0"}, {time.Second, "1s"}, {1500 * time.Millisecond, "1.5s"}, {time.Minute, "1m"}, {24 * time.Hour, "24h"},
		{90 * time.Minute, "1h30m"}, {time.Hour + 30*time.Second, "1h0m30s"}, {10 * time.Minute, "10m"}, {20 * time.Hour, "20h"},
		{time.Minute + 30*time.Second, "1m30s"}, {10 * time.Second, "10s"},
	} {
		got := config.FormatDuration(c.d)
		if back, err := time.ParseDuration(got); got != c.want || err != nil || back != c.d {
			t.Errorf("FormatDuration(%v) = %q, want %q; reads back as %v, %v", c.d, got, c.want, back, err)
		}
	}
}

func TestFormattedSizesAreShortAndExact(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{
		{0, "0"}, {1, "1"}, {1000, "1000"}, {1024, "1KiB"}, {1536, "1536"}, {64 << 10, "64KiB"}, {1 << 20, "1MiB"}, {3 << 30, "3GiB"}, {1 << 40, "1TiB"}, {-1024, "-1KiB"},
	} {
		if got := config.FormatSize(c.n); got != c.want {
			t.Errorf("FormatSize(%d) = %q, want %q", c.n, got, c.want)
		}
	}
}

func TestSizesAreReadWithAndWithoutUnit(t *testing.T) {
	for text, want := range map[string]int64{"4096": 4096, "64KiB": 64 << 10, "64 KiB": 64 << 10, "4096B": 4096, "1GiB": 1 << 30} {
		if got := load(t, flags("stream.buffer", text)).Settings.Stream.Buffer; got != want {
			t.Errorf("size %q = %d, want %d", text, got, want)
		}
	}
}

func TestBoolsAreReadInEveryUsualSpelling(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "1": true, "Yes": true, "on": true, "FALSE": false, "0": false, "no": false, "off": false} {
		if got := load(t, variable("WEIR_PAGE", text)).Settings.Page; got != want {
			t.Errorf("page %q = %v, want %v", text, got, want)
		}
	}
}

func TestSuggestionsAreCloseOnly(t *testing.T) {
	names := []string{"serve", "pub", "sub", "version"}
	for word, want := range map[string]string{
		"serv": "serve", "pbu": "pub", "sbu": "sub", "vresion": "version", "pubb": "pub", "publish": "", "x": "", "": "", "completely": "",
	} {
		if want != "" {
			want = "; did you mean " + strconv.Quote(want) + "?"
		}
		if got := config.DidYouMean(word, names); got != want {
			t.Errorf("DidYouMean(%q) = %q, want %q", word, got, want)
		}
	}
}
