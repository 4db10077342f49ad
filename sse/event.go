package sse

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Errors that callers may test for. They are wrapped with the offending value.
var (
	// ErrField says that a field cannot be written as it is.
	ErrField = errors.New("sse: bad field")

	// ErrTooLarge says that a stream holds an event beyond [Decoder].MaxEvent.
	ErrTooLarge = errors.New("sse: event too large")
)

// An Event is what one block of a stream says. The zero Event says nothing.
type Event struct {
	// Type is the event's name, to which a page's listeners subscribe; "" leaves
	// the line out, and a browser then says "message".
	Type string

	// ID becomes the reader's last event ID; "" leaves the line out, and the
	// reader keeps the ID it has.
	ID string

	// Data is the payload. If it is nil there is no data line; if it is empty but
	// not nil there is one empty data line.
	Data []byte

	// Retry is the reconnection time, in whole milliseconds; 0 leaves it out.
	Retry time.Duration

	// ResetID clears the reader's last event ID. ID must be "" then.
	ResetID bool
}

// Text returns an event whose data is s.
func Text(s string) Event {
	return Event{Data: []byte(s)}
}

// JSON returns an event of type typ, which may be "", whose data is the JSON form
// of v, always one line. It fails where [encoding/json.Marshal] fails.
func JSON(typ string, v any) (Event, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Event{}, fmt.Errorf("encode data of event type %.64q: %w", typ, err)
	}
	return Event{Type: typ, Data: data}, nil
}

// CheckType reports whether s can be an event type: valid UTF-8 without CR, LF
// and NUL. The error wraps [ErrField] and names the offending byte's offset.
func CheckType(s string) error {
	return checkField("event", s)
}

// CheckID reports whether s can be an event ID: valid UTF-8 without CR, LF and
// NUL. The error wraps [ErrField] and names the offending byte's offset.
func CheckID(s string) error {
	return checkField("id", s)
}

// check holds e to the rules of AppendEvent.
func (e *Event) check() error {
	if err := CheckType(e.Type); err != nil {
		return err
	}
	if err := CheckID(e.ID); err != nil {
		return err
	}
	if e.ResetID && e.ID != "" {
		return fmt.Errorf("%w: id %.64q: ResetID is set, which wants it empty", ErrField, e.ID)
	}
	if e.Retry < 0 {
		return fmt.Errorf("%w: retry is %v, least 0s", ErrField, e.Retry)
	}
	return nil
}

func checkField(name, s string) error {
	for i, r := range s {
		what := ""
		switch r {
		case '\n':
			what = "line feed"
		case '\r':
			what = "carriage return"
		case 0:
			what = "NUL"
		case utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				what = "invalid UTF-8"
			}
		}
		if what != "" {
			return fmt.Errorf("%w: %s %.64q: %s at byte %d", ErrField, name, s, what, i)
		}
	}
	return nil
}
