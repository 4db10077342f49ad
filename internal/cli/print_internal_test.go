package cli

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"
)

func show(p textPrinter, topic, data string) string {
	var b strings.Builder
	p.w = &b
	rec := record{Topic: topic, Data: &data}
	if !utf8.ValidString(data) {
		coded := base64.StdEncoding.EncodeToString([]byte(data))
		rec.Data, rec.Base64 = &coded, true
	}
	if err := p.message(rec, nil); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestMessagesArePrintedForTheirReader(t *testing.T) {
	for _, c := range []struct {
		p    textPrinter
		data string
		want string
	}{
		{textPrinter{}, "hello", "hello\n"},
		{textPrinter{}, "", "\n"},
		{textPrinter{}, "two\nlines", "two\nlines\n"},
		{textPrinter{}, "\x1b[31mred\xff", "\x1b[31mred\xff\n"},
		{textPrinter{topic: true}, "two\nlines", "a/b  two\n     lines\n"},
		{textPrinter{terminal: true}, "\x1b[31mred\r\xff\u202e\tü", `\x1b[31mred\x0d\xff\u202e` + "\tü\n"},
		{textPrinter{topic: true, terminal: true, colour: true}, "x", "\x1b[36ma/b\x1b[m  x\n"},
	} {
		if got := show(c.p, "a/b", c.data); got != c.want {
			t.Errorf("%+v prints %q as %q, want %q", c.p, c.data, got, c.want)
		}
	}
}

func TestBrokenBase64IsAnError(t *testing.T) {
	data := "%%%"
	p := textPrinter{w: new(strings.Builder)}
	if err := p.message(record{ID: "e-1", Data: &data, Base64: true}, nil); err == nil || !strings.Contains(err.Error(), `message "e-1"`) {
		t.Errorf("message = %v, want an error that names the message", err)
	}
}

func TestTopicIsShownOnlyWhereItTellsSomething(t *testing.T) {
	for _, c := range []struct {
		topics []string
		want   bool
	}{
		{[]string{"a"}, false}, {[]string{"a", "b"}, true}, {[]string{"a/*"}, true}, {[]string{"**"}, true},
	} {
		if got := newPrinter(Streams{}, false, c.topics).(*textPrinter).topic; got != c.want {
			t.Errorf("topics %q: topic shown is %v, want %v", c.topics, got, c.want)
		}
	}
}

// FuzzPrintableCannotSteerATerminal checks that no control character survives and
// that harmless text does not change.
func FuzzPrintableCannotSteerATerminal(f *testing.F) {
	for _, seed := range []string{"hello", "\x1b[2J", "a\xffb", "\u009b31m", "\u202e", "\uFFFD", "ü😀\t\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		for _, r := range got {
			if r < 0x20 && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("printable(%q) = %q has %U", text, got, r)
			}
		}
		if printable(got) != got {
			t.Errorf("printable(%q) = %q changes again", text, got)
		}
	})
}
