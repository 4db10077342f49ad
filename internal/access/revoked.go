package access

import (
	"errors"
	"sync"
	"time"
)

const (
	// MaxRevoked is how many tokens and users a [Revoked] holds unless told otherwise.
	MaxRevoked = 100_000
	// RevokedFor is how long it holds those of which nobody says when they end.
	RevokedFor = 24 * time.Hour
)

// Revoked holds tokens and users that do not count any more, so that who was sent
// away cannot come back with the same token. It is in memory: after a restart tokens
// that have not expired count again.
//
// It is bounded. When it is full, further calls fail; entries make room when they end.
type Revoked struct {
	most int

	mu     sync.RWMutex
	tokens map[string]time.Time // by Grant.Token: until when
	users  map[string]userEntry
	ends   time.Time // no entry ends before; while there is none: anything
}

type userEntry struct {
	since time.Time // tokens issued by then are refused
	until time.Time
}

// NewRevoked returns an empty set for at most that many tokens and users together,
// 1 to 10,000,000; 0 is [MaxRevoked]. An entry takes 100 to 400 bytes.
func NewRevoked(most int) *Revoked {
	if most == 0 {
		most = MaxRevoked
	}
	return &Revoked{most: most, tokens: make(map[string]time.Time), users: make(map[string]userEntry)}
}

// Revoke has grants refused whose [Grant.Token] is token, which is the jti of a JSON
// Web Token that has one. The time until is when the grant expires by itself; zero
// is after [RevokedFor]. If the token is there already, the later time holds.
//
// The error is an [*Error] with the code too_many_revoked if the set is full. It is
// another one if the token is "" or longer than [MaxName].
func (r *Revoked) Revoke(token string, until time.Time) error {
	if err := checkRevoked("token", token); err != nil {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	old, has := r.tokens[token]
	until = later(old, orDefault(until, now))
	if !now.Before(until) {
		return nil // it has expired
	}
	if err := r.makeRoom(has, until, now); err != nil {
		return err
	}
	r.tokens[token] = until
	return nil
}

// RevokeUser has the tokens of a user refused that were issued (iat) at since or
// before, and those that do not say when. So the user can log in again a second
// later, if the clock of who issues tokens is right. API keys do not say when they
// were issued. The time until is when the last of the tokens expires; zero is after
// [RevokedFor]. If the user is there already, the later of both times hold.
//
// The errors are those of [Revoked.Revoke].
func (r *Revoked) RevokeUser(user string, since, until time.Time) error {
	if err := checkRevoked("user", user); err != nil {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	old, has := r.users[user]
	e := userEntry{since: later(old.since, since), until: later(old.until, orDefault(until, now))}
	if !now.Before(e.until) {
		return nil
	}
	if err := r.makeRoom(has, e.until, now); err != nil {
		return err
	}
	r.users[user] = e
	return nil
}

func checkRevoked(what, name string) error {
	if name == "" {
		return errors.New("to revoke: no " + what + " is given")
	}
	return checkName(what, name)
}

func orDefault(until, now time.Time) time.Time {
	if until.IsZero() {
		return now.Add(RevokedFor)
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// makeRoom prepares for an entry that ends at until.
func (r *Revoked) makeRoom(has bool, until, now time.Time) error {
	if r.len() >= r.most && !has {
		r.sweep(now)
	}
	if n := r.len(); n >= r.most && !has {
		return refuse(TooManyRevoked, "%d tokens and users are revoked, limit %d", n, r.most)
	}
	if r.len() == 0 || until.Before(r.ends) {
		r.ends = until
	}
	return nil
}

// Check returns nil if the grant counts, or an [*Error] with the code revoked_token.
// A [Verifier] calls it. Who keeps grants calls it again once others can find what
// was opened with them: a token may be revoked in between.
func (r *Revoked) Check(g Grant) error {
	now, token := time.Now(), g.Token()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if token != "" && now.Before(r.tokens[token]) {
		return refuse(RevokedToken, "the token was revoked")
	}
	if e, has := r.users[g.User]; has && now.Before(e.until) && !g.Issued.After(e.since) {
		return refuse(RevokedToken, "the tokens that %s had were revoked", g.who())
	}
	return nil
}

// Sweep forgets what has ended. Calls that need the room do, too.
func (r *Revoked) Sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(time.Now())
}

// Len returns the number of tokens and users held, among them those that have ended
// since the last sweep.
func (r *Revoked) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.len()
}

func (r *Revoked) len() int { return len(r.tokens) + len(r.users) }

// sweep looks at all entries, but only if one may have ended: a set that is full of
// live ones costs nothing.
func (r *Revoked) sweep(now time.Time) {
	if r.len() == 0 || now.Before(r.ends) {
		return
	}
	var ends time.Time
	stays := func(until time.Time) bool {
		if !now.Before(until) {
			return false
		}
		if ends.IsZero() || until.Before(ends) {
			ends = until
		}
		return true
	}
	for token, until := range r.tokens {
		if !stays(until) {
			delete(r.tokens, token)
		}
	}
	for user, e := range r.users {
		if !stays(e.until) {
			delete(r.users, user)
		}
	}
	r.ends = ends
}
