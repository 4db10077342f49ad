package natslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// turnHeader is what the record has that ends a turn: the name of its node.
	turnHeader = "Weir-Turn"
	// longestTurn bounds what other nodes are believed.
	longestTurn = 2 * time.Second
	// muteFor is how long a node claims nothing after a claim that did not come back, as
	// when its user may not publish it.
	muteFor = 10 * time.Second
)

var errMute = errors.New("natslog: claims do not come back: may this user publish and subscribe to them?")

// A turn is which node may go first, as far as this one has heard. The server does not
// know of it: nodes tell each other on a subject that no stream has, and each waits by
// itself. The first claim is in force until a record of its node comes, or its time is
// over; others that come meanwhile are not heard.
type turn struct {
	self string // name of this node, random

	mu      sync.Mutex
	node    string        // guarded by mu: whose turn it is
	until   time.Time     // guarded by mu: over then
	changed chan struct{} // guarded by mu: closed when a turn begins or ends; then there is a new one
	mute    time.Time     // guarded by mu: this node claims nothing until then
}

func newTurn() *turn { return &turn{self: rand.Text(), changed: make(chan struct{})} }

// heard takes a claim, "NODE MILLISECONDS".
func (u *turn) heard(m *nats.Msg) {
	node, digits, _ := strings.Cut(string(m.Data), " ")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); now.After(u.until) {
		u.set(node, now.Add(min(time.Duration(n)*time.Millisecond, longestTurn)))
	}
}

// set changes whose turn it is. mu is held.
func (u *turn) set(node string, until time.Time) {
	u.node, u.until = node, until
	close(u.changed)
	u.changed = make(chan struct{})
}

// end ends the turn of a node, if it is that node's.
func (u *turn) end(node string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if node == u.node {
		u.set("", time.Time{})
	}
}

// now returns whose turn it is, or "", how long it will last, and what tells of a change.
func (u *turn) now() (node string, left time.Duration, changed <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if left = time.Until(u.until); left > 0 {
		node = u.node
	}
	return node, left, u.changed
}

// await waits until it is not the turn of another node, and reports whether it is this
// one's.
func (u *turn) await(ctx context.Context) (own bool, err error) {
	for {
		node, left, changed := u.now()
		if node == "" || node == u.self {
			return node != "", nil
		}
		if _, err := wait(ctx, left, changed); err != nil {
			return false, err
		}
	}
}

// wait waits for a change, at most for d, and reports whether it has come.
func wait(ctx context.Context, d time.Duration, changed <-chan struct{}) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-changed:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// mayClaim is an error for a while after a claim that did not come back.
func (u *turn) mayClaim() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Now().Before(u.mute) {
		return errMute
	}
	return nil
}

// unheard notes that a claim did not come back.
func (u *turn) unheard() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mute = time.Now().Add(muteFor)
	return errMute
}

// claims is the subject on which nodes claim. It is shorter than those of records.
func (e *Engine) claims() string { return e.prefix + "_turn" }

// listen hears claims from now on, until the connection is closed.
func (e *Engine) listen() error {
	_, err := e.line.Subscribe(e.claims(), e.turn.heard)
	if err != nil {
		err = fmt.Errorf("natslog: subscribe to %s: %w", e.claims(), err)
	}
	return err
}

// Claim implements [sharedlog.Claimer]. It returns when the server has passed the claim
// on, so that other nodes have heard it, or are about to.
func (e *Engine) Claim(ctx context.Context, d time.Duration) error {
	node, _, changed := e.turn.now()
	if node != "" { // it comes first
		return nil
	}
	if err := e.turn.mayClaim(); err != nil {
		return err
	}
	ms := max(d, time.Millisecond).Milliseconds()
	if err := e.line.Publish(e.claims(), []byte(e.turn.self+" "+strconv.FormatInt(ms, 10))); err != nil {
		return fmt.Errorf("natslog: claim: %w", err)
	}
	came, err := wait(ctx, d, changed)
	if err == nil && !came {
		err = e.turn.unheard()
	}
	return err
}
