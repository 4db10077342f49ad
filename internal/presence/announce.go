package presence

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// Event types.
const (
	Join     = "join"     // first connection of a user to a topic
	Leave    = "leave"    // the last one has gone
	Occupied = "occupied" // first connection to a topic, of whomever
	Vacated  = "vacated"  // the last one has gone

	connect    = "connect"
	disconnect = "disconnect"
)

// An event is the data of what is published.
type event struct {
	Topic      string          `json:"topic"`
	Connection string          `json:"connection,omitempty"`
	User       string          `json:"user,omitempty"`
	Info       json.RawMessage `json:"info,omitempty"`
}

func (e event) data() []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic("presence: " + err.Error())
	}
	return text
}

// settle publishes what has changed and is due.
func (p *Presence) settle(ctx context.Context, now time.Time) error {
	for {
		changes := p.takeDue(now)
		if len(changes) == 0 {
			return nil
		}
		if err := p.tell(ctx, changes); err != nil {
			return err
		}
	}
}

// tell publishes changes, unless another node has. What is known of them comes with
// [Presence.take].
func (p *Presence) tell(ctx context.Context, changes []change) error {
	var all hub.Change
	for _, c := range changes {
		before, after := c.values()
		all.Expect = append(all.Expect, eventlog.Put{Key: c.key(), Value: before})
		all.Puts = append(all.Puts, eventlog.Put{Key: c.key(), Value: after})
		all.Messages = append(all.Messages, c.message())
	}
	_, err := p.opts.Hub.CommitIf(ctx, all)
	if err == nil {
		return nil
	}
	for _, c := range changes {
		p.noteAnnounced(c.who, p.log.Value(c.key()))
	}
	if errors.Is(err, hub.ErrChanged) { // the next turn looks again
		return nil
	}
	return fmt.Errorf("publish %d changes: %w", len(changes), err)
}

// A change is to be told.
type change struct {
	who  Who
	came bool
	data []byte
}

// takeDue takes what is to be told now, as much as one batch has.
func (p *Presence) takeDue(now time.Time) (changes []change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.leading {
		return nil
	}
	for w, at := range p.due {
		if len(changes) == mostInBatch {
			break
		}
		data, told := p.announced[w.Topic][w.User]
		there := p.isThere(w)
		switch {
		case told == there:
			delete(p.due, w)
		case there:
			delete(p.due, w)
			changes = append(changes, change{w, true, p.event(w).data()})
		case at.IsZero() && p.opts.Grace > 0:
			p.due[w] = now.Add(p.opts.Grace)
		case !now.Before(at):
			delete(p.due, w)
			changes = append(changes, change{w, false, []byte(data)})
		}
	}
	slices.SortFunc(changes, change.compare)
	return changes
}

// compare has those come first who come, and a topic be occupied before and vacated
// after its users.
func (c change) compare(d change) int {
	switch {
	case c.came != d.came:
		if c.came {
			return -1
		}
		return 1
	case !c.came:
		c, d = d, c
	}
	return cmp.Or(strings.Compare(c.who.Topic, d.who.Topic), strings.Compare(c.who.User, d.who.User))
}

// isThere reports whether a user reads a topic, or somebody does. mu is held.
func (p *Presence) isThere(w Who) bool {
	if w.User == "" {
		return p.rooms[w.Topic] > 0
	}
	return p.readers.Total(w) > 0
}

// event describes who has come. mu is held.
func (p *Presence) event(w Who) event {
	e := event{Topic: w.Topic, User: w.User}
	if w.User != "" {
		e.Info = json.RawMessage(p.info[w])
	}
	return e
}

func (c change) key() string { return announcedKey + c.who.Topic + "\x00" + c.who.User }

// values returns the value before and after: it is kept while somebody is there.
func (c change) values() (before, after []byte) {
	if c.came {
		return nil, c.data
	}
	return c.data, nil
}

func (c change) message() hub.Message {
	return hub.Message{Topics: []string{Prefix + c.who.Topic}, Type: c.kind(), Key: c.who.User, Data: c.data}
}

func (c change) kind() string {
	switch {
	case c.who.User == "" && c.came:
		return Occupied
	case c.who.User == "":
		return Vacated
	case c.came:
		return Join
	}
	return Leave
}

// noteAnnounced notes what some node has told.
func (p *Presence) noteAnnounced(w Who, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setAnnounced(w, data != nil, string(data))
	p.look(w)
}

// setAnnounced: mu is held.
func (p *Presence) setAnnounced(w Who, there bool, data string) {
	users := p.announced[w.Topic]
	switch {
	case there && users == nil:
		p.announced[w.Topic] = map[string]string{w.User: data}
	case there:
		users[w.User] = data
	default:
		if delete(users, w.User); len(users) == 0 {
			delete(p.announced, w.Topic)
		}
	}
}

// A passing is a connection that was opened or closed.
type passing struct {
	kind, user, id string
	topics         []string
}

// mostPassings bounds those that wait to be published. Further ones are not.
const mostPassings = 10_000

// pass has it published that a connection was opened or closed.
func (p *Presence) pass(c passing, kind string) {
	if len(c.topics) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.passing) >= mostPassings {
		p.lost++
		return
	}
	c.kind = kind
	p.passing = append(p.passing, c)
}

// publishPassings publishes what waits, or leaves it.
func (p *Presence) publishPassings(ctx context.Context) error {
	for {
		b, n := p.nextPassings()
		if n == 0 {
			return nil
		}
		if err := p.commit(ctx, b); err != nil {
			return err
		}
		p.mu.Lock()
		p.passing = slices.Delete(p.passing, 0, n)
		p.mu.Unlock()
	}
}

// nextPassings returns messages about the first n connections that wait.
func (p *Presence) nextPassings() (b batch, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.passing {
		if len(b.messages) >= mostInBatch {
			break
		}
		n++
		for _, name := range c.topics {
			b.messages = append(b.messages, c.message(name))
		}
	}
	return b, n
}

func (c passing) message(name string) hub.Message {
	e := event{Topic: name, Connection: c.id, User: c.user}
	return hub.Message{Topics: []string{ConnectionsPrefix + name}, Type: c.kind, Key: c.id, Data: e.data()}
}
