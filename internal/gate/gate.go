// Package gate lets requests in: it finds out who sends one, what that allows, and
// how much of the server it may use.
//
// [Gate.Enter] makes a [Visitor] of a request; the visitor then says for each topic
// whether it may be read or published to, counts messages, and opens a stream with
// [Visitor.Open]. A [Lease] is what the stream holds of the server until it ends.
// Every refusal is a [problem.Document], ready to be sent.
//
// A gate without rules lets everything pass and costs nothing. The rules may change
// while it is in use; what is open stays open.
package gate

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/problem"
)

// Rules say who may do what and how much. They are not changed once in use.
type Rules struct {
	Verifier *access.Verifier // nil: anybody may do anything
	Limits   Limits
}

// Limits bound what clients may use. A zero is no limit.
type Limits struct {
	Streams         int   // open at once
	StreamsPerIP    int   // the same of one address
	StreamsPerUser  int   // the same of one user, whose grant has no limit of its own
	StreamsPerToken int   // the same with one token
	PublishPerIP    int   // messages per second of one address, if nobody says who it is
	PublishPerUser  int   // messages per second of one user, whose grant has no limit of its own
	Replay          int64 // bytes of history per second of one user, or of one address if nobody says who it is
	IPv6Prefix      int   // bits that are one address; 0: 64
}

// perClient reports whether it matters who a client is.
func (l *Limits) perClient() bool {
	return l.StreamsPerIP+l.PublishPerIP > 0 || l.Replay > 0
}

// Options are the parts of a gate that stay.
type Options struct {
	Rules
	Tickets *access.Tickets // nil: none are issued
	Revoked *access.Revoked // nil: nobody can be refused
	Open    func() int      // streams that are open
	Memory  *limit.Memory   // nil: no limit
	Clients int             // counted at once; 0: 65,536
	Named   bool            // each stream has a lease of its own, because somebody wants to know what it reads
	Slots   *limit.Slots    // of streams; nil: new ones for Clients
	// Entered is told who sends a request, on its goroutine, as soon as that is known:
	// the user, or "". Nil: nobody is.
	Entered func(r *http.Request, user string)
}

// A Gate lets requests in. It may be used by any number of them at once.
type Gate struct {
	origin    http.CrossOriginProtection
	opts      Options
	now       atomic.Pointer[force]
	slots     *limit.Slots
	published *limit.Rates
	replayed  *limit.Rates
	refused   atomic.Int64 // requests that may not do what they wanted
}

// A force is rules that are in force.
type force struct {
	Rules
	anybody *Visitor // a client of which nothing is known
	free    *Lease   // of streams that hold nothing
}

// New returns a gate.
func New(o Options) *Gate {
	g := &Gate{
		opts: o, slots: cmp.Or(o.Slots, limit.NewSlots("streams", o.Clients)),
		published: limit.NewRates("messages", o.Clients), replayed: limit.NewRates("bytes of history", o.Clients),
	}
	g.Change(o.Rules)
	return g
}

// Open returns a gate that lets everything pass.
func Open() *Gate { return New(Options{Open: func() int { return 0 }}) }

// Change puts other rules into force for what comes from now on.
func (g *Gate) Change(r Rules) {
	f := &force{Rules: r, free: &Lease{uncounted: true}}
	f.anybody = &Visitor{gate: g, rules: f}
	g.now.Store(f)
}

// Anybody returns the visitor of requests that are not looked at one by one. It is
// for servers without access control, and without limits for each client.
func (g *Gate) Anybody() *Visitor { return g.now.Load().anybody }

// PerPublisher reports whether it matters who publishes. If so, each publish needs
// Enter, and Anybody is nobody.
func (g *Gate) PerPublisher() bool {
	now := g.now.Load()
	return now.Verifier != nil || now.Limits.PublishPerIP > 0
}

func (f *force) perClient() bool { return f.Verifier != nil || f.Limits.perClient() }

// Enter returns who sends a request. It uses up the ticket in it, so it is called
// once. The address of the client is that of r.RemoteAddr.
func (g *Gate) Enter(r *http.Request) (*Visitor, error) {
	rules := g.now.Load()
	if !rules.perClient() {
		return rules.anybody, nil
	}
	v := g.visitor(rules, r)
	if rules.Verifier == nil {
		return v, nil
	}
	var err error
	if v.grant, err = rules.Verifier.FromRequest(r); err != nil {
		return nil, g.refuse(err)
	}
	v.known = true
	if g.opts.Entered != nil {
		g.opts.Entered(r, v.grant.User)
	}
	return v, nil
}

// Stranger returns who sends a request that something else lets in, such as a signature
// of its body. Of the rules only those for addresses apply.
func (g *Gate) Stranger(r *http.Request) *Visitor {
	rules := g.now.Load()
	if !rules.perClient() {
		return rules.anybody
	}
	return g.visitor(rules, r)
}

// visitor is who sends a request, as far as its connection says.
func (g *Gate) visitor(rules *force, r *http.Request) *Visitor {
	client, _ := netip.ParseAddrPort(r.RemoteAddr) // fails for a unix socket
	return &Visitor{gate: g, rules: rules, client: client, address: limit.AddressKey(client.Addr(), rules.Limits.IPv6Prefix)}
}

// Revoke refuses a user, or a token by its ID, for a while, at all servers that share
// [Options.Revoked]. Streams that are open are not ended: see [Gate.Revocations].
func (g *Gate) Revoke(ctx context.Context, user, token string, d time.Duration) error {
	if g.opts.Revoked == nil {
		return notPossible("there is no access control, so nobody can be refused")
	}
	now := time.Now()
	var err error
	if user != "" {
		err = g.opts.Revoked.RevokeUser(ctx, user, now, now.Add(d))
	} else {
		err = g.opts.Revoked.Revoke(ctx, token, now.Add(d))
	}
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*access.Error](err); !known {
		return problem.BadRequest("bad_parameter", err.Error())
	}
	return asProblem(err)
}

// revoked returns an error if a grant was taken back.
func (g *Gate) revoked(grant access.Grant) error {
	if g.opts.Revoked == nil {
		return nil
	}
	return g.opts.Revoked.Check(grant)
}

// Revocations returns how often somebody was revoked, by whichever server. Streams that
// open at that moment may be missed by who ends the others, so the owner looks at all
// leases again when the number has changed, and ends those that are [Lease.Over].
func (g *Gate) Revocations() int64 {
	if g.opts.Revoked == nil {
		return 0
	}
	return g.opts.Revoked.Count()
}

// Stats are counts of a gate.
type Stats struct {
	Refused  int64             // requests that may not do what they wanted
	Streams  map[string]uint64 // refused because of too many streams, by whose they are
	Messages map[string]uint64 // the same for messages per second
	Replays  map[string]uint64 // the same for bytes of history per second
	Full     uint64            // refused because too many clients are counted
	Memory   uint64            // refused because memory was short
	Clients  int               // counted now
}

// Stats returns the counts.
func (g *Gate) Stats() Stats {
	s := Stats{
		Refused: g.refused.Load(), Full: g.slots.Full() + g.published.Full() + g.replayed.Full(),
		Clients: g.slots.Keys() + g.published.Keys() + g.replayed.Keys(),
		Streams: map[string]uint64{}, Messages: map[string]uint64{}, Replays: map[string]uint64{},
	}
	for _, k := range limit.Kinds() {
		s.Streams[k.String()] = g.slots.Refused(k)
		s.Messages[k.String()] = g.published.Refused(k)
		s.Replays[k.String()] = g.replayed.Refused(k)
	}
	if g.opts.Memory != nil {
		s.Memory = g.opts.Memory.Refused()
	}
	return s
}
