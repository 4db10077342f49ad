package access

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// revokedKey begins the keys of revocations in a [Store]; the kind, a slash and the name
// of the token or user follow.
const revokedKey = "revoked/"

const (
	// endedMargin is for how long a revocation that has ended stays in a [Store], for
	// servers whose clocks are late.
	endedMargin = time.Minute
	// mostTries is how often a change is tried again because others changed the same.
	mostTries = 100
)

// Share keeps revocations in a store. They are in force again after a restart, and at all
// servers that have the store in common; the bound is for all of them together, but for
// what several revoke at the same moment. It is called before anything else, at most once.
func (r *Revoked) Share(s Store) {
	r.store = s
	s.Follow(revokedKey, r.hear)
}

func (s subject) key() string { return revokedKey + s.kind + "/" + s.name }

func parseSubject(key string) (s subject, ok bool) {
	s.kind, s.name, ok = strings.Cut(strings.TrimPrefix(key, revokedKey), "/")
	return s, ok && (s.kind == tokenKind || s.kind == userKind)
}

// publish stores a revocation. When it returns nil this server has heard of it.
func (r *Revoked) publish(ctx context.Context, s subject, e revocation) error {
	defer r.announce(s)()
	key, err := s.key(), error(ErrChanged)
	for try := 0; try < mostTries && errors.Is(err, ErrChanged); try++ {
		old := r.store.Value(key)
		if old == nil {
			if err := r.makeRoom(ctx); err != nil {
				return err
			}
		}
		value := encodeRevocation(parseRevocation(old).merge(e))
		err = r.store.Change(ctx, map[string][]byte{key: old}, map[string][]byte{key: value})
	}
	switch {
	case errors.Is(err, ErrNoRoom):
		return refuse(TooManyRevoked, "the log that revocations are in has no room")
	case err != nil:
		return noAnswer(err)
	}
	return nil
}

// announce notes that this server is storing a revocation until done is called.
func (r *Revoked) announce(s subject) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own[s]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.own[s]--; r.own[s] == 0 {
			delete(r.own, s)
		}
	}
}

func encodeRevocation(e revocation) []byte {
	e.Since, e.Until = storable(e.Since), storable(e.Until)
	text, err := json.Marshal(e)
	if err != nil {
		panic("access: " + err.Error())
	}
	return text
}

// parseRevocation returns one that has ended if there is none.
func parseRevocation(value []byte) (e revocation) {
	if json.Unmarshal(value, &e) != nil {
		return revocation{}
	}
	return e
}

// makeRoom refuses what is too much.
func (r *Revoked) makeRoom(ctx context.Context) error {
	if r.Len() < r.most {
		return nil
	}
	if err := r.clean(ctx); err != nil {
		return err
	}
	if n := r.Len(); n >= r.most {
		return r.full(n)
	}
	return nil
}

// hear is told of a revocation in the store, or that it is gone.
func (r *Revoked) hear(key string, value []byte) {
	s, ok := parseSubject(key)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if value == nil {
		delete(r.entries, s)
		return
	}
	r.set(s, parseRevocation(value))
	if r.own[s] > 0 { // who revokes it here ends the streams, and counts them
		return
	}
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// clean deletes what has ended from the store, some at a time. Others that do so at the
// same moment are no reason to fail: the rest is left for the next time.
func (r *Revoked) clean(ctx context.Context) error {
	for {
		expect, puts := r.endedValues(time.Now().Add(-endedMargin))
		if len(puts) == 0 {
			return nil
		}
		err := r.store.Change(ctx, expect, puts)
		if errors.Is(err, ErrChanged) {
			return nil
		}
		if err != nil {
			return noAnswer(err)
		}
	}
}

// endedValues returns values of the store that have ended, and what deletes them unless
// they have changed.
func (r *Revoked) endedValues(now time.Time) (expect, puts map[string][]byte) {
	r.mu.Lock()
	ended := r.ended(now, mostInChange)
	r.mu.Unlock()
	expect, puts = make(map[string][]byte), make(map[string][]byte)
	for _, s := range ended {
		key := s.key()
		if value := r.store.Value(key); value != nil && !now.Before(parseRevocation(value).Until) {
			expect[key], puts[key] = value, nil
		}
	}
	return expect, puts
}
