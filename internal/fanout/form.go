package fanout

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/sse"
)

// A Form is what a message looks like on the wire.
type Form uint8

const (
	Events   Form = iota // Server-Sent Events: type, ID and data as event fields
	Envelope             // Server-Sent Events whose data is the JSON object of Lines
	Lines                // JSON lines: one object for each message
	Text                 // the data and a line feed
	numForms
)

// An Encoder makes wire forms of entries. It is shared and immutable.
type Encoder struct {
	epoch string
	make  [numForms]func(*eventlog.Entry) []byte
	gaps  gaps // made
}

// Forms must fit into an entry.
var _ [eventlog.NumForms - int(numForms)]struct{}

// NewEncoder returns an encoder for a log of the given epoch.
func NewEncoder(epoch string) *Encoder {
	enc := &Encoder{epoch: epoch}
	enc.make = [numForms]func(*eventlog.Entry) []byte{
		func(e *eventlog.Entry) []byte { return chunk(enc.event(e)) },
		func(e *eventlog.Entry) []byte { return chunk(enc.envelope(e)) },
		func(e *eventlog.Entry) []byte { return chunk(enc.line(e)) },
		func(e *eventlog.Entry) []byte { return chunk(append(append([]byte(nil), e.Data...), '\n')) },
	}
	return enc
}

// Hot path: Frame returns e in the given form, as an HTTP/1.1 chunk if framed.
// It is encoded when first asked for, and shared: do not change it.
func (enc *Encoder) Frame(e *eventlog.Entry, f Form, framed bool) []byte {
	b := e.Form(int(f), enc.make[f])
	if framed {
		return b
	}
	return b[bytes.IndexByte(b, '\n')+1 : len(b)-2]
}

// chunk frames data as one HTTP/1.1 chunk.
//
// Source: RFC 9112, section 7.1.
func chunk(data []byte) []byte {
	b := make([]byte, 0, len(data)+20)
	b = strconv.AppendUint(b, uint64(len(data)), 16)
	b = append(b, "\r\n"...)
	b = append(b, data...)
	return append(b, "\r\n"...)
}

// ID returns the event ID of e: the publisher's, or its position.
func (enc *Encoder) ID(e *eventlog.Entry) string {
	if e.ID != "" {
		return e.ID
	}
	return eventlog.FormatID(enc.epoch, e.Seq)
}

// event encodes e as an event. Types and IDs were checked when it was published.
func (enc *Encoder) event(e *eventlog.Entry) []byte {
	ev := sse.Event{Type: e.Type, ID: enc.ID(e), Data: eventData(e.Data), Retry: e.Retry}
	return mustEvent(ev)
}

// envelope encodes e as an event that carries its JSON object.
func (enc *Encoder) envelope(e *eventlog.Entry) []byte {
	line := enc.line(e)
	return mustEvent(sse.Event{ID: enc.ID(e), Data: line[:len(line)-1], Retry: e.Retry})
}

func mustEvent(ev sse.Event) []byte {
	b, err := sse.AppendEvent(make([]byte, 0, sse.EncodedLen(ev)), ev)
	if err != nil {
		panic("fanout: a message with bad fields reached the log: " + err.Error())
	}
	return b
}

// eventData returns data as an event stream can carry it. Bytes that are not
// UTF-8 travel as a data: URL, which a page can fetch.
func eventData(data []byte) []byte {
	if utf8.Valid(data) {
		if data == nil {
			return []byte{}
		}
		return data
	}
	return base64.StdEncoding.AppendEncode([]byte("data:application/octet-stream;base64,"), data)
}

// A line is the JSON object of one message. The order of fields is part of the format.
type line struct {
	ID     string   `json:"id"`
	Topic  string   `json:"topic"`
	Topics []string `json:"topics,omitempty"`
	Type   string   `json:"type,omitempty"`
	Key    string   `json:"key,omitempty"`
	State  bool     `json:"state,omitempty"`
	Time   string   `json:"time"`
	Base64 bool     `json:"base64,omitempty"`
	Data   string   `json:"data"`
}

// timeLayout is RFC 3339 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

func (enc *Encoder) line(e *eventlog.Entry) []byte {
	l := line{ID: enc.ID(e), Topic: e.Topics[0], Type: e.Type, Key: e.Key, State: e.State, Time: e.Time.UTC().Format(timeLayout), Data: string(e.Data)}
	if len(e.Topics) > 1 {
		l.Topics = e.Topics
	}
	if !utf8.Valid(e.Data) {
		l.Base64, l.Data = true, base64.StdEncoding.EncodeToString(e.Data)
	}
	return jsonLine(l)
}

// jsonLine encodes v without the escapes that are only needed inside HTML.
func jsonLine(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("fanout: " + err.Error())
	}
	return b.Bytes()
}

// Ready returns the first bytes of a stream that starts after position: they tell
// the reader where it stands, so that it resumes exactly even if it has to
// reconnect before the first message. framed as with Frame.
func (enc *Encoder) Ready(f Form, after uint64) []byte {
	id := eventlog.FormatID(enc.epoch, after)
	switch f {
	case Lines:
		return jsonLine(map[string]any{"ready": map[string]string{"id": id}})
	case Text:
		return nil
	}
	return mustEvent(sse.Event{ID: id})
}

// Notice returns what a stream says of itself, beside its messages and without an ID:
// an event, or a line with one field, named like the event without "weir.". data is
// JSON on one line. Text cannot tell it from a message, and has none.
func Notice(f Form, event string, data []byte) []byte {
	switch f {
	case Lines:
		return jsonLine(map[string]json.RawMessage{strings.TrimPrefix(event, "weir."): data})
	case Text:
		return nil
	}
	return mustEvent(sse.Event{Type: event, Data: data})
}

// Farewell returns what tells a reader to come back after retry.
func Farewell(f Form, retry time.Duration) []byte {
	switch f {
	case Lines:
		return jsonLine(map[string]any{"drain": map[string]int64{"retry_ms": retry.Milliseconds()}})
	case Text:
		return nil
	}
	return append(sse.AppendRetry(nil, retry), '\n')
}
