package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readLines(l *lineReader) (lines []string, err error) {
	for {
		text, err := l.next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(text))
	}
}

func TestLinesAboveTheLimitAreRefused(t *testing.T) {
	const limit = 100_000 // more than the buffer
	in := strings.Repeat("x", limit-1) + "\n" + strings.Repeat("y", limit) + "\n"
	l := newLineReader(strings.NewReader(in), limit)
	lines, err := readLines(l)
	if len(lines) != 1 || len(lines[0]) != limit-1 || l.number != 2 || err == nil || err.Error() != "larger than the limit of 100000 bytes" {
		t.Errorf("%d lines, then line %d: %v; want one, then the limit at line 2", len(lines), l.number, err)
	}
}

func TestWholeLinesMustEnd(t *testing.T) {
	l := newLineReader(strings.NewReader("a\nb"), 10)
	l.whole = true
	if lines, err := readLines(l); strings.Join(lines, ",") != "a" || err != io.ErrUnexpectedEOF {
		t.Errorf("lines %q, error %v; want a and %v", lines, err, io.ErrUnexpectedEOF)
	}
}

// FuzzLinesAreThoseOfTheInput compares with a split of the whole input.
func FuzzLinesAreThoseOfTheInput(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"))
	f.Add(bytes.Repeat([]byte("x"), 70_000))
	f.Fuzz(func(t *testing.T, in []byte) {
		var want []string
		for text := range strings.Lines(string(in)) {
			if cut, ended := strings.CutSuffix(text, "\n"); ended {
				text = strings.TrimSuffix(cut, "\r")
			}
			want = append(want, text)
		}
		got, err := readLines(newLineReader(iotest.HalfReader(bytes.NewReader(in)), len(in)+1))
		if err != io.EOF || strings.Join(got, "\x00\n") != strings.Join(want, "\x00\n") || len(got) != len(want) {
			t.Errorf("lines of %q are %q, want %q; error %v", in, got, want, err)
		}
	})
}
