package sse_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weirstream/weir/sse"
)

func TestReaderReadsWhatTheDecoderDoes(t *testing.T) {
	for _, c := range decodeCases {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"bytes": iotest.OneByteReader,
			"eof":   iotest.DataErrReader,
		} {
			r := sse.NewReader(wrap(strings.NewReader(c.stream)))
			got, err := readAll(r)
			if !reflect.DeepEqual(got, c.want) || err != io.EOF {
				t.Errorf("%s, %s: Next gave\n got %+v, %v\nwant %+v, EOF", c.name, name, got, err, c.want)
			}
			if got := r.Decoder.LastEventID(); got != c.lastID {
				t.Errorf("%s, %s: LastEventID() = %q, want %q", c.name, name, got, c.lastID)
			}
		}
	}
}

func TestReaderReturnsAnEventBeforeMoreBytesCome(t *testing.T) {
	pr, pw := io.Pipe()
	defer pr.Close()
	go func() {
		// Each write returns when all of it has been read, so the second event is
		// written only if Next took no more than the first.
		io.WriteString(pw, "data: 1\n\n")
		io.WriteString(pw, "data: 2\n\n")
		pw.Close()
	}()
	r := sse.NewReader(pr)
	for _, want := range []string{"1", "2"} {
		if e, err := r.Next(); string(e.Data) != want || err != nil {
			t.Fatalf("Next() = %+v, %v, want data %s", e, err, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("Next() at the end: error %v, want EOF", err)
	}
}

func TestReaderErrorsLastUntilReset(t *testing.T) {
	cause := errors.New("cable cut")
	r := sse.NewReader(io.MultiReader(strings.NewReader("id: 1\ndata: a\n\ndata: b"), iotest.ErrReader(cause)))
	if e, err := r.Next(); e.ID != "1" || err != nil {
		t.Fatalf("Next() = %+v, %v, want ID 1", e, err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, cause) || err.Error() != "read event stream: cable cut" {
			t.Errorf("Next(): error %v, want %v with its operation", err, cause)
		}
	}
	r.Reset(strings.NewReader("data: c\n\n"))
	if e, err := r.Next(); string(e.Data) != "c" || err != nil {
		t.Errorf("Next() after Reset = %+v, %v, want data c", e, err)
	}
	if got := r.Decoder.LastEventID(); got != "1" {
		t.Errorf("LastEventID() after Reset = %q, want %q", got, "1")
	}
}

func TestReaderResetDropsWhatWasReadAhead(t *testing.T) {
	r := sse.NewReader(strings.NewReader("data: a\n\ndata: b\n\n"))
	for _, want := range []string{"a", "c"} {
		if e, err := r.Next(); string(e.Data) != want || err != nil {
			t.Errorf("Next() = %+v, %v, want data %s", e, err, want)
		}
		r.Reset(strings.NewReader("data: c\n\n"))
	}
}

func TestReaderHoldsTheLimit(t *testing.T) {
	r := sse.NewReader(strings.NewReader("data: 1\n\ndata: 234\n\ndata: 5\n\n"))
	r.Decoder.MaxEvent = 8
	got, err := readAll(r)
	if len(got) != 1 || !errors.Is(err, sse.ErrTooLarge) {
		t.Errorf("limit 8: %+v, %v, want one event and ErrTooLarge", got, err)
	}
	if _, again := r.Next(); again != err {
		t.Errorf("Next() again: error %v, want %v", again, err)
	}
}

func TestReaderGivesUpOnASourceThatGivesNothing(t *testing.T) {
	r := sse.NewReader(silent{})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Next(): error %v, want ErrNoProgress", err)
	}
}

func TestReaderHandsOverData(t *testing.T) {
	r := sse.NewReader(strings.NewReader("data: first\n\ndata: other\n\n"))
	e, _ := r.Next()
	if _, err := r.Next(); err != nil || string(e.Data) != "first" {
		t.Errorf("data of the first event after the second: %q, error %v, want %q", e.Data, err, "first")
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func readAll(r *sse.Reader) (events []sse.Event, err error) {
	for {
		e, err := r.Next()
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}
