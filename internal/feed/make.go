package feed

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/weirstream/weir/hub"
)

// A maker turns messages of a source into messages of the log.
type maker struct {
	feed   string
	state  bool
	prefix string // of idempotency keys

	topic              *Template
	typ, key, id, data *Template // nil: none, and of data: the body
	once               *Template // nil: the ID
	names              string    // of messages without one; "": they get none
	counter            *atomic.Uint64
}

// newMaker reads the templates.
func newMaker(s *Spec, nameAll bool) (maker, error) {
	m := maker{feed: s.Name, state: s.State, prefix: "feed/" + s.Name + "/", counter: new(atomic.Uint64)}
	if nameAll {
		m.names = "?" + rand.Text() + "/"
	}
	var errs []error
	for _, t := range []struct {
		key, text string
		to        **Template
	}{{"topic", s.Topic, &m.topic}, {"type", s.Type, &m.typ}, {"key", s.Key, &m.key}, {"id", s.ID, &m.id}, {"data", s.Data, &m.data}, {"once", s.Once, &m.once}} {
		if t.text == "" {
			continue
		}
		parsed, err := ParseTemplate(t.text, t.key == "topic")
		if err == nil && t.key == "topic" {
			err = parsed.checkTopic()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.key, err))
		}
		*t.to = parsed
	}
	return m, errors.Join(errs...)
}

// make makes a message of the log. An error says why that can never work.
func (m *maker) make(from *Message) (to hub.Message, err error) {
	if from.Fault != nil {
		return to, from.Fault
	}
	v := &view{Message: from, feed: m.feed}
	name, err := m.topic.render(v)
	if err != nil {
		return to, fmt.Errorf("topic: %w", err)
	}
	if reserved(name) {
		return to, fmt.Errorf("topic %.100q: %w", name, errReserved)
	}
	to = hub.Message{Topics: []string{name}, Data: from.Body, State: m.state}
	for _, f := range []struct {
		name string
		t    *Template
		to   *string
	}{{"type", m.typ, &to.Type}, {"key", m.key, &to.Key}, {"id", m.id, &to.ID}} {
		if f.t == nil {
			continue
		}
		if *f.to, err = f.t.render(v); err != nil {
			return to, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if m.data != nil {
		text, err := m.data.render(v)
		if err != nil {
			return to, fmt.Errorf("data: %w", err)
		}
		to.Data = []byte(text)
	}
	to.IdempotencyKey, err = m.onceKey(v)
	return to, err
}

// onceKey is the idempotency key; "" for none.
func (m *maker) onceKey(v *view) (string, error) {
	id := v.ID
	if m.once != nil {
		var err error
		if id, err = m.once.render(v); err != nil {
			return "", fmt.Errorf("once: %w", err)
		}
	}
	switch {
	case id != "":
		return m.prefix + short(id), nil
	case m.names != "":
		return m.prefix + m.names + strconv.FormatUint(m.counter.Add(1), 10), nil
	}
	return "", nil
}

// short returns id, or what stands for it if it is long: keys are kept in memory.
func short(id string) string {
	if len(id) <= 100 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}
