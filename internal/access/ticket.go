package access

import (
	"container/list"
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
// It is bounded. When it is full, further tickets are refused.
type Tickets struct {
	most    int
	perUser int

	mu     sync.Mutex
	byHash map[[sha256.Size]byte]*list.Element // a ticket itself is never stored
	oldest list.List                           // of *ticket, in the order of their issue and so of their end
	users  map[string]int                      // tickets by user
}

type ticket struct {
	hash  [sha256.Size]byte
	grant Grant
	ends  time.Time
}

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
		byHash:  make(map[[sha256.Size]byte]*list.Element),
		users:   make(map[string]int),
	}
}

// Issue returns a new ticket for the grant: 43 characters of base64url. The error is
// an [*Error] with the code too_many_tickets, or expired_token if the grant is over.
func (t *Tickets) Issue(g Grant) (string, error) {
	now := time.Now()
	if g.Expired(now) {
		return "", refuse(ExpiredToken, "what the ticket would stand for has expired")
	}
	random := make([]byte, ticketBytes)
	_, _ = rand.Read(random) // never fails, it says
	text := base64.RawURLEncoding.EncodeToString(random)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	if n := t.oldest.Len(); n >= t.most {
		return "", refuse(TooManyTickets, "%d tickets have been issued in %v and not used, limit %d", n, TicketLife, t.most)
	}
	if n := t.users[g.User]; n >= t.perUser {
		return "", refuse(TooManyTickets, "%d tickets of %s have been issued in %v and not used, limit %d", n, g.who(), TicketLife, t.perUser)
	}
	k := &ticket{hash: sha256.Sum256([]byte(text)), grant: g, ends: now.Add(TicketLife)}
	t.byHash[k.hash] = t.oldest.PushBack(k)
	t.users[g.User]++
	return text, nil
}

// Redeem returns the grant of a ticket and forgets it, so of several calls at once
// one succeeds. The error is an [*Error] with the code bad_ticket, or expired_token
// if the grant is over.
func (t *Tickets) Redeem(text string) (Grant, error) {
	now := time.Now()
	hash := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	e := t.byHash[hash]
	if e == nil {
		return Grant{}, refuse(BadTicket, "the ticket has been used, is older than %v, or was never issued", TicketLife)
	}
	g := t.remove(e).grant
	if g.Expired(now) {
		return Grant{}, refuse(ExpiredToken, "what the ticket stands for has expired")
	}
	return g, nil
}

// Sweep forgets tickets that have expired. Issue and Redeem do, too; the owner calls
// it every now and then for the time in which neither is called.
func (t *Tickets) Sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(time.Now())
}

// Len returns the number of tickets held.
func (t *Tickets) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.oldest.Len()
}

func (t *Tickets) sweep(now time.Time) {
	for e := t.oldest.Front(); e != nil && !now.Before(e.Value.(*ticket).ends); e = t.oldest.Front() {
		t.remove(e)
	}
}

func (t *Tickets) remove(e *list.Element) *ticket {
	k := t.oldest.Remove(e).(*ticket)
	delete(t.byHash, k.hash)
	if t.users[k.grant.User]--; t.users[k.grant.User] == 0 {
		delete(t.users, k.grant.User)
	}
	return k
}
