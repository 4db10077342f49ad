package webhook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
)

// An event is one as it is sent, in JSON.
type event struct {
	ID    string `json:"id"`   // position in the log, or "gap-POSITION"
	Time  string `json:"time"` // RFC 3339 with milliseconds, UTC
	Event string `json:"event"`

	Topic      string          `json:"topic,omitempty"`
	User       string          `json:"user,omitempty"`
	Info       json.RawMessage `json:"info,omitempty"`
	Connection string          `json:"connection,omitempty"`

	// Of a message.
	Type       string  `json:"type,omitempty"`
	Key        string  `json:"key,omitempty"`
	MessageID  string  `json:"message_id,omitempty"` // the publisher's own
	Data       *string `json:"data,omitempty"`
	DataBase64 *string `json:"data_base64,omitempty"` // instead of Data, if that is not UTF-8

	// Of a gap: events after a position, and not after another one, are missing.
	Reason string `json:"reason,omitempty"`
	After  string `json:"after,omitempty"`
	Until  string `json:"until,omitempty"`

	time time.Time
}

func (e *event) at(t time.Time) {
	e.time, e.Time = t, t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// gapEvent tells that events after one position and up to another are missing.
func gapEvent(reason, after, until string) event {
	e := event{ID: "gap-" + until, Event: "gap", Reason: reason, After: after, Until: until}
	e.at(time.Now())
	return e
}

// A filter makes events of the entries that a hook is about.
type filter struct {
	topics   []string
	events   map[string]bool
	dead     string // topic of its own dead letters
	selector *eventlog.Selector
}

func newFilter(s *Spec) (f filter, err error) {
	f = filter{topics: s.Topics, events: make(map[string]bool), dead: s.DeadLetter}
	for _, t := range s.Topics {
		if err := topic.CheckPattern(t); err != nil {
			return f, fmt.Errorf("topics: %w", err)
		}
		if isReserved(t) {
			return f, fmt.Errorf("topics: %q is about the server itself: name topics that people read", t)
		}
	}
	var patterns []string
	for _, name := range s.Events {
		f.events[name] = true
		for _, t := range s.Topics {
			patterns = append(patterns, prefixes[name]+t)
		}
	}
	if f.selector, err = eventlog.Select(patterns...); err != nil {
		return f, fmt.Errorf("topics: %w", err) // one is too long for what it is found under
	}
	return f, nil
}

// patterns are those of the topics in which there may be events.
func (f *filter) patterns() []string { return f.selector.Patterns() }

// event makes the event that an entry tells of, if the hook wants it.
func (f *filter) event(e *eventlog.Entry, epoch string) (made event, wanted bool) {
	made = event{ID: eventlog.FormatID(epoch, e.Seq)}
	made.at(e.Time)
	if isReserved(e.Topics[0]) {
		return made, f.notice(&made, e)
	}
	return made, f.events[message] && f.message(&made, e)
}

// notice reads what weir itself has published. Its data may name a user, a connection
// and what the user's grant says of the user.
func (f *filter) notice(to *event, e *eventlog.Entry) bool {
	if !f.events[e.Type] || prefixes[e.Type] == "" {
		return false
	}
	name, ok := strings.CutPrefix(e.Topics[0], prefixes[e.Type])
	if !ok || f.match([]string{name}) == "" {
		return false
	}
	var about struct {
		User, Connection string
		Info             json.RawMessage
	}
	if err := json.Unmarshal(e.Data, &about); err != nil {
		return false
	}
	to.Event, to.Topic, to.User, to.Connection, to.Info = e.Type, name, about.User, about.Connection, about.Info
	return true
}

// message reads a message. Those of the server itself, and the dead letters of hooks, are
// not sent: they could go round in a circle.
func (f *filter) message(to *event, e *eventlog.Entry) bool {
	if e.Type == deadType || slices.ContainsFunc(e.Topics, func(name string) bool { return isReserved(name) || name == f.dead }) {
		return false
	}
	name := f.match(e.Topics)
	if name == "" {
		return false
	}
	to.Event, to.Topic, to.Type, to.Key, to.MessageID = message, name, e.Type, e.Key, e.ID
	if utf8.Valid(e.Data) {
		to.Data = new(string(e.Data))
	} else {
		to.DataBase64 = new(base64.StdEncoding.EncodeToString(e.Data))
	}
	return true
}

// match returns the first of names that the hook is about; "" if there is none.
func (f *filter) match(names []string) string {
	for _, name := range names {
		for _, pattern := range f.topics {
			if topic.Match(pattern, name) {
				return name
			}
		}
	}
	return ""
}
