package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/sse"
)

// Types of notices.
const (
	ExpiringEvent = "weir.expiring" // the stream ends soon
	RevokedEvent  = "weir.revoked"  // the stream ends now
	ErrorEvent    = "weir.error"    // there is no stream
)

// A Notice is what the server itself tells a reader, besides the messages:
//
//	event: weir.expiring
//	data: {"expires":"2026-11-21T15:04:05Z","seconds":30}
//
// It has no ID, so the reader's last event ID stays what it is.
type Notice struct {
	Type string
	Data any // is sent as JSON
}

// ExpiringNotice says that the right to a stream ends at the given time.
func ExpiringNotice(at time.Time) Notice {
	return Notice{ExpiringEvent, expiring{at.UTC().Format(time.RFC3339), int64(max(0, time.Until(at).Round(time.Second)/time.Second))}}
}

type expiring struct {
	Expires string `json:"expires"`
	Seconds int64  `json:"seconds"`
}

// RevokedNotice says that the right to a stream was taken away.
func RevokedNotice() Notice { return Notice{RevokedEvent, struct{}{}} }

// Notify sends n in the form of the stream; nothing, if that has no notices. It fails
// like Write, and if n.Type cannot be an event type or n.Data not be JSON.
func (c *Conn) Notify(n Notice) error {
	if c.opener.format.Notice == nil {
		return nil
	}
	if err := sse.CheckType(n.Type); err != nil {
		return fmt.Errorf("stream: notice: %w", err)
	}
	data, err := jsonText(n.Data)
	if err != nil {
		return fmt.Errorf("stream: notice %q: %w", n.Type, err)
	}
	_, err = c.Write(c.opener.format.Notice(n.Type, data))
	return err
}

// noticeEvent is the form of a notice among events. The type has been checked.
func noticeEvent(event string, data []byte) []byte {
	b, err := sse.AppendEvent(nil, sse.Event{Type: event, Data: data})
	if err != nil {
		panic("stream: " + err.Error())
	}
	return b
}

// jsonText encodes v on one line, without the escapes that only HTML needs.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// A Refusal says why there is no stream.
type Refusal struct {
	Code   string `json:"code"`   // for programs, "too_many_connections"
	Detail string `json:"detail"` // for people
	Status int    `json:"status"` // what the answer would be elsewhere, 429
}

// Refuse answers a request for an event stream with status 200, an event, and the
// end. A browser's EventSource gives up for good at any other status; after this
// answer it comes back when retry, plus or minus a fifth at random, has passed. Less
// than half a second is taken as that.
//
//	retry: 61234
//	event: weir.error
//	data: {"code":"too_many_connections","detail":"50 streams are open, limit 50","status":429}
//
// The answer is written through w like any other. A write that fails is no matter:
// the client is gone.
func Refuse(w http.ResponseWriter, why Refusal, retry time.Duration) {
	data, _ := jsonText(why) // strings and a number
	body := append(sse.AppendRetry(nil, Jitter(max(retry, soonest))), noticeEvent(ErrorEvent, data)...)
	h := w.Header()
	h.Set("Content-Type", EventStream.ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", noCache)
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept")
	_, _ = w.Write(body)
}
