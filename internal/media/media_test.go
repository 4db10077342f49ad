package media_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/media"
)

const (
	sse    = "text/event-stream"
	ndjson = "application/x-ndjson"
	text   = "text/plain"
)

func TestBest(t *testing.T) {
	ours := []string{sse, ndjson, text}
	for _, c := range []struct {
		name   string
		accept []string
		offers []string
		want   string // "" means none
	}{
		{"no header", nil, ours, sse},
		{"empty header", []string{""}, ours, sse},
		{"nothing but commas", []string{" , ,", "\t"}, ours, sse},
		{"anything", []string{"*/*"}, ours, sse},
		{"exact", []string{ndjson}, ours, ndjson},
		{"upper case", []string{"TEXT/Plain"}, ours, text},
		{"type only", []string{"text/*"}, ours, sse},
		{"list", []string{"text/html, application/json, text/plain"}, ours, text},
		{"list without spaces", []string{"text/html,text/plain,image/png"}, ours, text},
		{"several lines", []string{"text/html", "application/x-ndjson"}, ours, ndjson},
		{"nothing we have", []string{"text/html, image/*"}, ours, ""},
		{"no offers", []string{"*/*"}, nil, ""},
		{"no offers, no header", nil, nil, ""},

		{"weights decide", []string{"text/event-stream;q=0.5, text/plain;q=0.8"}, ours, text},
		{"weights across lines", []string{"text/plain;q=0.8", "application/x-ndjson;q=0.9"}, ours, ndjson},
		{"equal weights: first offer", []string{"text/plain, application/x-ndjson"}, ours, ndjson},
		{"weight with the rest", []string{"text/event-stream;q=1, */*"}, ours, sse},
		{"weight at the end of */*", []string{"text/plain, */*;q=0.1"}, ours, text},
		{"spaces and tabs around", []string{" text/event-stream\t; q=0.1 ,\ttext/plain ; q=0.2 "}, ours, text},
		{"upper case Q", []string{"text/event-stream;Q=0.1, text/plain;q=0.2"}, ours, text},
		{"thousandths", []string{"text/event-stream;q=0.998, text/plain;q=0.999"}, ours, text},
		{"one with decimals", []string{"text/event-stream;q=0.999, text/plain;q=1.000"}, ours, text},

		{"zero excludes", []string{"text/event-stream;q=0, */*"}, ours, ndjson},
		{"zero with decimals excludes", []string{"text/event-stream;q=0.000"}, ours, ""},
		{"zero for the whole type", []string{"text/*;q=0, */*"}, ours, ndjson},
		{"zero for all but one", []string{"*/*;q=0, text/plain;q=0.1"}, ours, text},
		{"zero for everything", []string{"*/*;q=0"}, ours, ""},

		{"subtype before type", []string{"text/*;q=0.9, text/event-stream;q=0.1"}, ours, text},
		{"type before anything", []string{"*/*;q=0.9, text/*;q=0.1"}, ours, ndjson},
		{"order of ranges does not matter", []string{"text/event-stream;q=0.1, text/*;q=0.9"}, ours, text},
		{"larger weight of the same range", []string{"text/plain;q=0.1, text/plain;q=0.9, text/event-stream;q=0.5"}, ours, text},
		// Source: RFC 9110, section 12.5.1, its table of precedence.
		{"parameters before subtype", []string{"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"},
			[]string{"text/plain;format=fixed", "text/html", "image/jpeg", "text/plain", "text/plain;format=flowed"}, "text/plain;format=flowed"},
		{"parameters exclude", []string{"text/plain;format=fixed;q=0, text/plain"}, []string{"text/plain;format=fixed", "text/plain"}, "text/plain"},
		{"more parameters before fewer", []string{"text/plain;a=1;b=2;q=0.1, text/plain;a=1;q=0.9"}, []string{"text/plain;b=2;a=1", "text/plain;a=1"}, "text/plain;a=1"},
		{"a parameter the offer lacks", []string{"text/event-stream;version=2, text/plain"}, ours, text},
		{"a parameter with another value", []string{"text/plain;a=1"}, []string{"text/plain;a=2"}, ""},
		{"parameters in any case", []string{"text/plain;A=X"}, []string{"text/plain;a=x"}, "text/plain;a=x"},
		{"parameter after the weight", []string{"text/plain;q=0.5;a=1"}, []string{"text/plain"}, ""},
		{"empty parameters", []string{"text/plain;;q=0.5; ;"}, ours, text},
		{"charset=utf-8 covers all", []string{"text/event-stream; charset=UTF-8"}, ours, sse},
		{"charset=utf-8 of an offer", []string{"text/plain"}, []string{"text/plain; charset=utf-8"}, "text/plain; charset=utf-8"},
		{"another charset", []string{"text/event-stream; charset=latin1"}, ours, ""},

		{"quoted value", []string{`text/plain;a="1"`}, []string{"text/plain;a=1"}, "text/plain;a=1"},
		{"quoted comma, semicolon and weight", []string{`text/plain;a=",x/y;q=0,", text/html`}, []string{`text/plain;a=",x/y;q=0,"`}, `text/plain;a=",x/y;q=0,"`},
		{"quoted backslash", []string{`text/plain;a="\1\"\,"`}, []string{`text/plain;a="1\","`}, `text/plain;a="1\","`},
		{"quote without end hides the rest", []string{`text/html;a="x, text/plain`, ndjson}, ours, ndjson},

		{"malformed among others", []string{"text, /, text/, /plain, */plain, te xt/plain, text/pl@in, text/event-stream q=1, text/plain"}, ours, text},
		{"malformed weight", []string{"text/event-stream;q=2, text/event-stream;q=x, text/event-stream;q=0.x, text/event-stream;q=-1, text/event-stream;q=, text/event-stream;q, text/event-stream;q=1.001, text/event-stream;q=., text/plain;q=0.1"}, ours, text},
		{"malformed parameter", []string{"text/event-stream;=1, text/event-stream;a b=1, text/event-stream;q = 1, text/plain"}, ours, text},
		{"malformed alone is no preference", []string{"gibberish, text/event-stream;q=7"}, ours, sse},
		{"text behind a quoted value is malformed", []string{`text/plain;a="1"2`}, ours, sse},
		{"a quoted weight without end is malformed", []string{`text/plain;q="1`}, ours, sse},
		{"second slash", []string{"text/event-stream/x, text/plain"}, ours, text},

		{"lone star", []string{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}, ours, sse},
		{"weight without leading zero", []string{"text/event-stream;q=.1, text/plain;q=.2"}, ours, text},
		{"many decimals", []string{"text/event-stream;q=0.33333, text/plain;q=0.66666"}, ours, text},
		{"a browser's page load", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"}, []string{"text/html", sse}, "text/html"},
		{"an offer that is no media type", []string{"*/*"}, []string{"stream"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := media.Best(c.accept, c.offers...)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("Best(%q, %q) = %q, %v, want %q", c.accept, c.offers, got, ok, c.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		accept string
		want   bool
	}{
		{"", false},
		{"*/*", false},
		{"*", false},
		{"text/html, */*;q=0.8", false},
		{"text/html", false},
		{"gibberish", false},
		{"text/event-stream", true},
		{"TEXT/EVENT-STREAM", true},
		{"text/event-stream;q=1, */*", true},
		{"text/event-stream;q=0.001", true},
		{"text/event-stream; charset=utf-8", true},
		{"text/html, text/event-stream", true},
		{"text/*", true},
		{"text/*;q=0.1, */*", true},
		{"text/event-stream;q=0", false},
		{"text/event-stream;q=0, text/*", false},
		{"text/*;q=0, */*", false},
		{"text/event-stream;q=0, */*", false},
		{"text/event-stream-x", false},
		{"text/event-stream;version=2", false},
	} {
		if got := media.Names([]string{c.accept}, sse); got != c.want {
			t.Errorf("Names(%q, %q) = %v, want %v", c.accept, sse, got, c.want)
		}
	}
	if media.Names(nil, sse) {
		t.Errorf("Names(nil, %q) = true, want false", sse)
	}
	if !media.Names([]string{"text/html", sse}, sse) {
		t.Errorf("Names does not read the second line")
	}
}

func TestNegotiationAllocs(t *testing.T) {
	accept := []string{`text/html;level="1";q=0.4, text/*;q=0.3`, "text/event-stream; charset=UTF-8;q=0.9, */*;q=0.1"}
	offers := []string{sse, ndjson, text}
	got := testing.AllocsPerRun(100, func() {
		if best, _ := media.Best(accept, offers...); best != sse || !media.Names(accept, text) {
			t.Fatalf("Best(%q) = %q", accept, best)
		}
	})
	if got != 0 {
		t.Errorf("negotiation: %v allocations, want 0", got)
	}
}

// Neither the case of the letters, nor the order of the lines, nor a malformed
// element, nor an excluded type among the offers changes the choice; and a type
// that is named is one that is accepted.
func FuzzFormDoesNotChangeTheChoice(f *testing.F) {
	for _, s := range []string{
		"", "*/*", "text/*;q=0.5", "text/event-stream;q=1, */*", `text/plain;a="b,\"c";q=.3`,
		"text/event-stream;q=0", "application/x-ndjson;charset=utf-8;q=0.77777", "*;q=1.0", `"`, "a/b;c", "text/plain;\x00",
	} {
		f.Add(s, "text/plain;q=0.3, a/b")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		accept := []string{first, second}
		want, ok := media.Best(accept, sse, ndjson, text)
		if ok != slices.Contains([]string{sse, ndjson, text}, want) {
			t.Fatalf("Best(%q) = %q, %v", accept, want, ok)
		}
		for _, form := range [][]string{
			{second, first},
			{upper(first), upper(second)},
			{first, "mal formed", second},
			{" ,mal formed;q=0 , " + first, second},
			{first, second, ""},
		} {
			if got, _ := media.Best(form, sse, ndjson, text); got != want {
				t.Errorf("Best(%q) = %q, but Best(%q) = %q", accept, want, form, got)
			}
		}
		for _, offer := range []string{sse, ndjson, text} {
			_, alone := media.Best(accept, offer)
			if media.Names(accept, offer) && !alone {
				t.Errorf("Names(%q, %q), but Best refuses it", accept, offer)
			}
			if alone && !ok || offer == want && !alone {
				t.Errorf("Best(%q) = %q, %v, but of %q alone %v", accept, want, ok, offer, alone)
			}
		}
	})
}

// upper changes ASCII letters only: others may gain or lose bytes.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func ExampleBest() {
	accept := []string{"application/x-ndjson;q=0.5, text/*"}
	fmt.Println(media.Best(accept, "text/event-stream", "application/x-ndjson"))
	fmt.Println(media.Best([]string{"image/png"}, "text/event-stream"))
	// Output:
	// text/event-stream true
	//  false
}

func ExampleNames() {
	fmt.Println(media.Names([]string{"text/event-stream, */*"}, "text/event-stream"))
	fmt.Println(media.Names([]string{"text/html, */*"}, "text/event-stream"))
	// Output:
	// true
	// false
}

func BenchmarkBest(b *testing.B) {
	for _, c := range []struct{ name, accept string }{
		{"client=eventsource", "text/event-stream"},
		{"client=browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	} {
		b.Run(c.name, func(b *testing.B) {
			accept := []string{c.accept}
			b.ReportAllocs()
			for b.Loop() {
				media.Best(accept, sse, ndjson, text)
			}
		})
	}
}
