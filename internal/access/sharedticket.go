package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// ticketKey begins the keys of tickets in a [Store]; the SHA-256 of the ticket follows, in
// base64url.
const ticketKey = "ticket/"

// mostStored is how many bytes all tickets may take in a [Store]. One user has a
// sixteenth. The store has other uses, which must not suffer from large grants.
const mostStored = 16 << 20

// A storedTicket is the value of a ticket in a [Store].
type storedTicket struct {
	Ends   time.Time `json:"ends"`
	Grant  Grant     `json:"grant"`
	Digest string    `json:"digest,omitempty"` // of the grant
}

// An endedTicket is to be deleted from the store.
type endedTicket struct {
	key string
	due time.Time
}

// Share keeps tickets in a store that other servers have, too, so that a ticket holds at
// each of them, and once. The bounds are then for all of them together; when several
// issue tickets at the same moment there may be as many more. It is called before
// anything else, at most once.
func (t *Tickets) Share(s Store) {
	t.store = s
	s.Follow(ticketKey, t.hear)
}

func (h ticketHash) key() string { return ticketKey + base64.RawURLEncoding.EncodeToString(h[:]) }

// publish stores a ticket that is new. It counts from before on, so that many who wait
// for the store are not more than there may be.
func (t *Tickets) publish(ctx context.Context, k *ticket, now time.Time) error {
	key, value := k.hash.key(), k.value()
	k.grant, k.bytes = Grant{User: k.grant.User}, len(key)+len(value)
	if err := t.add(k, now); err != nil {
		return err
	}
	err := t.store.Change(ctx, map[string][]byte{key: nil}, map[string][]byte{key: value})
	if err == nil {
		return nil
	}
	t.withhold(k)
	if errors.Is(err, ErrNoRoom) {
		return refuse(TooManyTickets, "the log that tickets are in has no room")
	}
	return noAnswer(err)
}

// withhold forgets a ticket that nobody gets. The store may have it all the same.
func (t *Tickets) withhold(k *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byHash[k.hash]; e != nil {
		t.remove(e)
	}
	t.ended = append(t.ended, endedTicket{k.hash.key(), time.Now().Add(TicketLife)})
}

// withdraw takes a ticket out of the store, unless another server does.
func (t *Tickets) withdraw(ctx context.Context, text string, hash ticketHash) (Grant, error) {
	if random, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(random) != ticketBytes {
		return Grant{}, badTicket() // others need not be asked
	}
	value := t.find(hash)
	if value == nil { // who has issued it may be faster at telling the client than this server
		if err := t.store.Sync(ctx); err != nil {
			return Grant{}, noAnswer(err)
		}
		if value = t.find(hash); value == nil {
			return Grant{}, badTicket()
		}
	}
	key := hash.key()
	switch err := t.store.Change(ctx, map[string][]byte{key: value}, map[string][]byte{key: nil}); {
	case errors.Is(err, ErrChanged):
		return Grant{}, badTicket()
	case err != nil:
		return Grant{}, noAnswer(err)
	}
	k := parseTicket(value)
	return k.grant(), nil
}

// find returns what the store has of a ticket that has not ended, or nil.
func (t *Tickets) find(hash ticketHash) []byte {
	t.mu.Lock()
	e := t.byHash[hash]
	alive := e != nil && time.Now().Before(e.Value.(*ticket).ends)
	t.mu.Unlock()
	if !alive {
		return nil
	}
	return t.store.Value(hash.key())
}

// value returns what the store has of a ticket with all of its grant.
func (k *ticket) value() []byte {
	g := k.grant
	g.Issued, g.Expires = storable(g.Issued), storable(g.Expires)
	text, err := json.Marshal(storedTicket{storable(k.ends), g, g.digest})
	if err != nil {
		panic("access: " + err.Error())
	}
	return text
}

// parseTicket returns one that has ended if value is none.
func parseTicket(value []byte) (k storedTicket) {
	if json.Unmarshal(value, &k) != nil {
		return storedTicket{}
	}
	return k
}

func (k *storedTicket) grant() Grant {
	g := k.Grant
	g.digest = k.Digest
	return g
}

// hear is told of a ticket in the store, or that it is gone.
func (t *Tickets) hear(key string, value []byte) {
	sum, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(key, ticketKey))
	if err != nil || len(sum) != sha256.Size {
		return
	}
	hash := ticketHash(sum)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byHash[hash]
	if value == nil && e != nil {
		t.remove(e)
	}
	if value == nil || e != nil {
		return
	}
	k := parseTicket(value)
	t.keep(&ticket{hash: hash, grant: Grant{User: k.Grant.User}, ends: soonest(k.Ends), bytes: len(key) + len(value)})
}

// soonest returns the end that another server has given a ticket, unless that has a clock
// which is late.
func soonest(end time.Time) time.Time {
	if latest := time.Now().Add(TicketLife); end.After(latest) {
		return latest
	}
	return end
}

// bury has a ticket that has ended deleted from the store: by who issued it, or by others
// if that is gone. They have counted the time themselves, so a clock that is wrong does no
// harm to what others have issued. mu is held.
func (t *Tickets) bury(k *ticket, now time.Time) {
	due := now
	if !k.own {
		due = now.Add(TicketLife)
	}
	t.ended = append(t.ended, endedTicket{k.hash.key(), due})
}

// clean deletes what has ended from the store.
func (t *Tickets) clean(ctx context.Context) error {
	for {
		ended := t.takeEnded(time.Now())
		if len(ended) == 0 {
			return nil
		}
		puts := make(map[string][]byte)
		for _, k := range ended {
			if t.store.Value(k.key) != nil {
				puts[k.key] = nil
			}
		}
		if len(puts) == 0 {
			continue
		}
		if err := t.store.Change(ctx, nil, puts); err != nil {
			t.mu.Lock()
			t.ended = append(t.ended, ended...)
			t.mu.Unlock()
			return noAnswer(err)
		}
	}
}

// takeEnded takes as many as are deleted at once.
func (t *Tickets) takeEnded(now time.Time) (due []endedTicket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := t.ended[:0]
	for _, k := range t.ended {
		if len(due) < mostInChange && !now.Before(k.due) {
			due = append(due, k)
		} else {
			rest = append(rest, k)
		}
	}
	clear(t.ended[len(rest):])
	t.ended = rest
	return due
}
