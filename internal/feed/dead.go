package feed

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
)

// deadBody is how much of a body a dead letter holds, in bytes.
const deadBody = 64 << 10

// deadType is the event type of dead letters.
const deadType = "dead-letter"

// A grave is a message that was dropped.
type grave struct {
	text   string // begin of its body
	reason error
}

// bury does what the Spec wants done with a message that can never be published.
func (f *Feed) bury(b *parcel, m *Message, reason error) {
	m.died(reason)
	letter, err := f.deadLetter(m, reason)
	if err != nil {
		b.dropped = append(b.dropped, grave{clip(m.Body), reason})
		return
	}
	b.add(letter, m, true)
	f.quiet.warn(f.log, "message is a dead letter", clip(m.Body), reason)
}

var errNoDeadLetters = errors.New("no dead-letter topic")

// A letter is the data of a dead letter, in JSON.
type letter struct {
	Feed       string            `json:"feed"`
	Reason     string            `json:"reason"`
	ID         string            `json:"id,omitempty"`
	Key        string            `json:"key,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	Bytes      int               `json:"bytes"` // of the body
	Data       string            `json:"data"`  // the body, or its begin
	Base64     bool              `json:"base64,omitempty"`
}

// deadLetter makes a dead letter of m, with as much of it as there is room for.
func (f *Feed) deadLetter(m *Message, reason error) (hub.Message, error) {
	topic := f.opts.Spec.DeadLetter
	if topic == "" {
		return hub.Message{}, errNoDeadLetters
	}
	l := letter{Feed: f.Name(), Reason: reason.Error(), ID: m.ID, Key: m.Key, Headers: m.Headers, Properties: m.Properties, Bytes: len(m.Body)}
	plain, room := utf8.Valid(m.Body), deadBody
	for {
		body := m.Body[:min(len(m.Body), room)]
		if l.Base64 = !plain; plain {
			l.Data = string(whole(body))
		} else {
			l.Data = base64.StdEncoding.EncodeToString(body)
		}
		data, err := json.Marshal(l)
		if err != nil {
			return hub.Message{}, err
		}
		d := hub.Message{Topics: []string{topic}, Type: deadType, Data: data}
		if m.ID != "" {
			d.IdempotencyKey = f.maker.prefix + "dead/" + short(m.ID)
		}
		if err = f.opts.Hub.Check(d); err == nil || room == 0 {
			return d, err
		}
		if room /= 2; room == 0 { // so it is not the body that is too large
			l.Headers, l.Properties = nil, nil
			l.ID, l.Key, l.Reason = clip(l.ID), clip(l.Key), clip(l.Reason)
		}
	}
}

// whole returns b without a character at its end that was cut.
func whole(b []byte) []byte {
	for len(b) > 0 {
		if r, n := utf8.DecodeLastRune(b); r != utf8.RuneError || n != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return b
}

// clip returns the begin of s for a log line.
func clip[T string | []byte](s T) string {
	if len(s) <= 200 {
		return string(s)
	}
	return fmt.Sprintf("%s… (%d bytes)", string(s[:200]), len(s))
}

// quiet logs at most one line in ten seconds, and how many it left out.
type quiet struct {
	mu    sync.Mutex
	until time.Time // guarded by mu
	more  int       // guarded by mu: left out since the last line
}

func (q *quiet) warn(log *slog.Logger, what, body string, reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Before(q.until) {
		q.more++
		return
	}
	q.until = now.Add(10 * time.Second)
	log.Warn(what, "reason", reason, "body", body, "others_since_last_line", q.more)
	q.more = 0
}
