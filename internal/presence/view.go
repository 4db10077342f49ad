package presence

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
)

// A Room is who reads a topic.
type Room struct {
	Topic       string `json:"topic"`
	Connections int    `json:"connections"` // now, on all nodes
	Users       []User `json:"users"`       // that have been told to be there, by name; at most as many as were asked for
	Total       int    `json:"total"`       // users
	LastID      string `json:"last_event_id"`
}

// A User reads a topic.
type User struct {
	Name        string          `json:"user"`
	Info        json.RawMessage `json:"info,omitempty"`
	Connections int             `json:"connections"` // 0: gone, and may come back
}

// Room returns who reads a topic, at most so many users. LastID is the position from
// which to read [Prefix]+name for what comes then; what is there already may come again.
func (p *Presence) Room(name string, most int) Room {
	r := Room{Topic: name, Users: []User{}, LastID: eventlog.FormatID(p.log.Epoch(), p.log.Head())} // before anything is looked at
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Connections = p.rooms[name]
	told := p.announced[name]
	for _, user := range slices.Sorted(maps.Keys(told)) {
		if user == "" {
			continue
		}
		if r.Total++; r.Total <= most {
			r.Users = append(r.Users, User{user, infoIn(told[user]), p.readers.Total(Who{name, user})})
		}
	}
	return r
}

// infoIn returns the info of what was told.
func infoIn(data string) json.RawMessage {
	var e event
	_ = json.Unmarshal([]byte(data), &e) // it was made here
	return e.Info
}

// A Count is how many read a topic.
type Count struct {
	Topic       string `json:"topic"`
	Connections int    `json:"connections"`
	Users       int    `json:"users"` // that have been told to be there
}

// Counts returns the topics that a pattern matches and somebody reads, by name, at most
// so many, and how many there are.
func (p *Presence) Counts(pattern string, most int) (list []Count, total int) {
	wanted := topic.NewPatterns([]string{pattern})
	p.mu.Lock()
	defer p.mu.Unlock()
	list = []Count{}
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if !wanted.Match(name) {
			continue
		}
		if total++; total <= most {
			users := len(p.announced[name])
			if _, occupied := p.announced[name][""]; occupied {
				users--
			}
			list = append(list, Count{name, p.rooms[name], users})
		}
	}
	return list, total
}

// Stats are counts of a Presence.
type Stats struct {
	Topics  int   // that somebody reads, of those that are known
	Users   int   // in topics, on this node
	Refused int64 // arrivals for which there was no room
	Lost    int64 // connections whose coming or going was not published
	Leading bool  // this node acts for all
}

// Stats returns the counts.
func (p *Presence) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{len(p.rooms), p.readers.Len(p.opts.Node), p.refused, p.lost, p.leading}
}
