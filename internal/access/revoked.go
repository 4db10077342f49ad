package access

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxRevoked is how many tokens and users a [Revoked] holds unless told otherwise.
	MaxRevoked = 100_000
	// RevokedFor is how long it holds those of which nobody says when they end.
	RevokedFor = 24 * time.Hour
)

// Revoked holds tokens and users that do not count any more, so that who was sent
// away cannot come back with the same token. It is in memory, so after a restart tokens
// that have not expired count again, unless it has a store: see [Revoked.Share].
//
// It is bounded. When it is full, further calls fail; entries make room when they end.
type Revoked struct {
	most  int
	store Store // nil: only this server knows
	count atomic.Int64
	news  chan struct{} // capacity 1

	mu      sync.RWMutex
	entries map[subject]revocation // guarded by mu
	ends    time.Time              // guarded by mu: no entry ends before; while there is none: anything
	own     map[subject]int        // guarded by mu: how often this server is just storing it
}

// A subject is what can be revoked: a token, by Grant.Token, or a user.
type subject struct{ kind, name string }

// Kinds of subjects.
const (
	tokenKind = "token"
	userKind  = "user"
)

// A revocation says what is refused, and until when.
type revocation struct {
	Since time.Time `json:"since,omitzero"` // of a user: tokens issued by then are refused
	Until time.Time `json:"until"`
}

// NewRevoked returns an empty set for at most that many tokens and users together,
// 1 to 10,000,000; 0 is [MaxRevoked]. An entry takes 100 to 400 bytes.
func NewRevoked(most int) *Revoked {
	if most == 0 {
		most = MaxRevoked
	}
	return &Revoked{most: most, news: make(chan struct{}, 1), entries: make(map[subject]revocation), own: make(map[subject]int)}
}

// Revoke has grants refused whose [Grant.Token] is token, which is the jti of a JSON
// Web Token that has one. The time until is when the grant expires by itself; zero
// is after [RevokedFor]. If the token is there already, the later time holds.
//
// The error is an [*Error] with the code too_many_revoked if the set is full, or
// log_unavailable if it could not be stored. It is another one if the token is "" or
// longer than [MaxName].
func (r *Revoked) Revoke(ctx context.Context, token string, until time.Time) error {
	return r.revoke(ctx, subject{tokenKind, token}, revocation{Until: until})
}

// RevokeUser has the tokens of a user refused that were issued (iat) at since or
// before, and those that do not say when. So the user can log in again a second
// later, if the clock of who issues tokens is right. API keys do not say when they
// were issued. The time until is when the last of the tokens expires; zero is after
// [RevokedFor]. If the user is there already, the later of both times hold.
//
// The errors are those of [Revoked.Revoke].
func (r *Revoked) RevokeUser(ctx context.Context, user string, since, until time.Time) error {
	return r.revoke(ctx, subject{userKind, user}, revocation{since, until})
}

func (r *Revoked) revoke(ctx context.Context, s subject, e revocation) error {
	if s.name == "" {
		return errors.New("to revoke: no " + s.kind + " is given")
	}
	if err := checkName(s.kind, s.name); err != nil {
		return err
	}
	now := time.Now()
	if e.Until.IsZero() {
		e.Until = now.Add(RevokedFor)
	}
	if !now.Before(e.Until) {
		return nil // it has expired
	}
	if r.store != nil {
		return r.publish(ctx, s, e)
	}
	return r.add(s, e, now)
}

// add adds an entry, or makes one that is there longer.
func (r *Revoked) add(s subject, e revocation, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, has := r.entries[s]
	if len(r.entries) >= r.most && !has {
		r.sweep(now)
	}
	if n := len(r.entries); n >= r.most && !has {
		return r.full(n)
	}
	r.set(s, old.merge(e))
	return nil
}

func (r *Revoked) full(n int) error {
	return refuse(TooManyRevoked, "%d tokens and users are revoked, limit %d", n, r.most)
}

// merge returns what refuses all that either of them does.
func (e revocation) merge(other revocation) revocation {
	return revocation{Since: later(e.Since, other.Since), Until: later(e.Until, other.Until)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// set puts an entry into force. mu is held.
func (r *Revoked) set(s subject, e revocation) {
	if len(r.entries) == 0 || e.Until.Before(r.ends) {
		r.ends = e.Until
	}
	r.entries[s] = e
	r.count.Add(1)
}

// Check returns nil if the grant counts, or an [*Error] with the code revoked_token.
// A [Verifier] calls it. Who keeps grants calls it again once others can find what
// was opened with them: a token may be revoked in between.
func (r *Revoked) Check(g Grant) error {
	now, token := time.Now(), g.Token()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if token != "" && now.Before(r.entries[subject{tokenKind, token}].Until) {
		return refuse(RevokedToken, "the token was revoked")
	}
	if e, has := r.entries[subject{userKind, g.User}]; has && now.Before(e.Until) && !g.Issued.After(e.Since) {
		return refuse(RevokedToken, "the tokens that %s had were revoked", g.who())
	}
	return nil
}

// Count returns how often something was revoked, by whichever server.
func (r *Revoked) Count() int64 { return r.count.Load() }

// News gives a value when another server has revoked something since it last did. One
// goroutine may receive.
func (r *Revoked) News() <-chan struct{} { return r.news }

// Sweep forgets what has ended. Calls that need the room do, too. What cannot be deleted
// from the store now is when it is called again.
func (r *Revoked) Sweep(ctx context.Context) error {
	if r.store != nil {
		return r.clean(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(time.Now())
	return nil
}

// Len returns the number of tokens and users held, among them those that have ended
// since the last sweep.
func (r *Revoked) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.entries)
}

// sweep deletes what has ended. mu is held.
func (r *Revoked) sweep(now time.Time) {
	for _, s := range r.ended(now, len(r.entries)) {
		delete(r.entries, s)
	}
}

// ended returns up to most entries that have ended. It looks at all, but only if one may
// have: a set that is full of live ones costs nothing. mu is held.
func (r *Revoked) ended(now time.Time, most int) (list []subject) {
	if len(r.entries) == 0 || now.Before(r.ends) {
		return nil
	}
	var ends time.Time // of those that stay
	for s, e := range r.entries {
		switch {
		case now.Before(e.Until):
			if ends.IsZero() || e.Until.Before(ends) {
				ends = e.Until
			}
		case len(list) < most:
			list = append(list, s)
		}
	}
	if len(list) == 0 || r.store == nil { // else they are there until the store has deleted them
		r.ends = ends
	}
	return list
}
