package access

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

// TicketLife is how long a ticket can be redeemed.
const TicketLife = 30 * time.Second

const (
	ticketBytes = 32 // of randomness
	// userShare of all tickets is the most that one user may hold, so that nobody
	// uses up those of the others.
	userShare = 16
)

// Tickets holds the tickets that were issued and neither redeemed nor expired. A
// ticket stands for a grant, once: a page fetches one with its token and puts it
// in the URL of an EventSource, which cannot send headers. The URL may then stay
// in logs.
//
// It is bounded. When it is full, further tickets are refused. Tickets are in memory,
// or in what several servers share: see [Tickets.Share].
type Tickets struct {
	most    int
	perUser int
	store   Store // nil: tickets are those of this server

	mu     sync.Mutex
	byHash map[ticketHash]*list.Element // guarded by mu; a ticket itself is never stored
	oldest list.List                    // guarded by mu; of *ticket, in the order of their issue and so of their end
	users  map[string]held              // guarded by mu
	bytes  int                          // guarded by mu: of all in the store
	ended  []endedTicket                // guarded by mu: what the store may still have
}

type ticketHash [sha256.Size]byte

type ticket struct {
	hash  ticketHash
	grant Grant // of one in the store, the user alone
	ends  time.Time
	own   bool // issued here
	bytes int  // that it takes in the store; 0: it is not there
}

// held is what a user has.
type held struct{ tickets, bytes int }

// NewTickets returns an empty store for at most that many tickets, 1 to 1,000,000;
// 0 is 16,384. One user holds at most a sixteenth of them, but always one. A ticket
// takes about 300 bytes and keeps what its grant refers to.
func NewTickets(most int) *Tickets {
	if most == 0 {
		most = 16_384
	}
	return &Tickets{
		most:    most,
		perUser: max(1, most/userShare),
		byHash:  make(map[ticketHash]*list.Element),
		users:   make(map[string]held),
	}
}

// Issue returns a new ticket for the grant: 43 characters of base64url. The error is
// an [*Error] with the code too_many_tickets, or expired_token if the grant is over, or
// log_unavailable if it could not be stored.
func (t *Tickets) Issue(ctx context.Context, g Grant) (string, error) {
	now := time.Now()
	if g.Expired(now) {
		return "", refuse(ExpiredToken, "what the ticket would stand for has expired")
	}
	random := make([]byte, ticketBytes)
	_, _ = rand.Read(random) // never fails, it says
	text := base64.RawURLEncoding.EncodeToString(random)
	k := &ticket{hash: sha256.Sum256([]byte(text)), grant: g, ends: now.Add(TicketLife), own: true}
	var err error
	if t.store != nil {
		err = t.publish(ctx, k, now)
	} else {
		err = t.add(k, now)
	}
	if err != nil {
		return "", err
	}
	return text, nil
}

// add adds a ticket if there is room.
func (t *Tickets) add(k *ticket, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	if err := t.admit(k); err != nil {
		return err
	}
	t.keep(k)
	return nil
}

// admit refuses what is too much. mu is held.
func (t *Tickets) admit(k *ticket) error {
	of, all := t.users[k.grant.User], t.oldest.Len()
	switch {
	case all >= t.most:
		return refuse(TooManyTickets, "%d tickets have been issued in %v and not used, limit %d", all, TicketLife, t.most)
	case of.tickets >= t.perUser:
		return refuse(TooManyTickets, "%d tickets of %s have been issued in %v and not used, limit %d", of.tickets, k.grant.who(), TicketLife, t.perUser)
	case t.bytes+k.bytes > mostStored:
		return refuse(TooManyTickets, "tickets that have been issued in %v and not used take %d bytes, limit %d", TicketLife, t.bytes+k.bytes, mostStored)
	case of.bytes+k.bytes > mostStored/userShare:
		return refuse(TooManyTickets, "tickets of %s that have been issued in %v and not used take %d bytes, limit %d", k.grant.who(), TicketLife, of.bytes+k.bytes, mostStored/userShare)
	}
	return nil
}

// Redeem returns the grant of a ticket and forgets it, so of several calls at once
// one succeeds. The error is an [*Error] with the code bad_ticket, or expired_token
// if the grant is over, or log_unavailable if what several servers share does not
// answer: the ticket may have been used up then, or not.
func (t *Tickets) Redeem(ctx context.Context, text string) (Grant, error) {
	var g Grant
	var err error
	if hash := ticketHash(sha256.Sum256([]byte(text))); t.store != nil {
		g, err = t.withdraw(ctx, text, hash)
	} else {
		g, err = t.take(hash)
	}
	if err != nil {
		return Grant{}, err
	}
	if g.Expired(time.Now()) {
		return Grant{}, refuse(ExpiredToken, "what the ticket stands for has expired")
	}
	return g, nil
}

// take takes a ticket out of memory.
func (t *Tickets) take(hash ticketHash) (Grant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(time.Now())
	e := t.byHash[hash]
	if e == nil {
		return Grant{}, badTicket()
	}
	return t.remove(e).grant, nil
}

func badTicket() *Error {
	return refuse(BadTicket, "the ticket has been used, is older than %v, or was never issued", TicketLife)
}

// Sweep forgets tickets that have expired. Issue and Redeem do, too; the owner calls
// it every now and then for the time in which neither is called. What cannot be deleted
// from the store now is when it is called again.
func (t *Tickets) Sweep(ctx context.Context) error {
	t.mu.Lock()
	t.sweep(time.Now())
	t.mu.Unlock()
	if t.store == nil {
		return nil
	}
	return t.clean(ctx)
}

// Len returns the number of tickets held, of all servers that share them.
func (t *Tickets) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.oldest.Len()
}

// sweep forgets what has expired. mu is held.
func (t *Tickets) sweep(now time.Time) {
	for e := t.oldest.Front(); e != nil && !now.Before(e.Value.(*ticket).ends); e = t.oldest.Front() {
		if k := t.remove(e); t.store != nil {
			t.bury(k, now)
		}
	}
}

// keep adds a ticket. mu is held.
func (t *Tickets) keep(k *ticket) {
	t.byHash[k.hash] = t.oldest.PushBack(k)
	t.count(k, 1)
}

// remove removes a ticket. mu is held.
func (t *Tickets) remove(e *list.Element) *ticket {
	k := t.oldest.Remove(e).(*ticket)
	delete(t.byHash, k.hash)
	t.count(k, -1)
	return k
}

// count counts a ticket, or no longer. mu is held.
func (t *Tickets) count(k *ticket, sign int) {
	of := t.users[k.grant.User]
	of.tickets += sign
	of.bytes += sign * k.bytes
	t.bytes += sign * k.bytes
	if t.users[k.grant.User] = of; of.tickets == 0 {
		delete(t.users, k.grant.User)
	}
}
