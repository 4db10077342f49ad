package gate_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/problem"
)

const secret = "0123456789abcdef0123456789abcdef"

// verifier knows secret, and grants nothing to those who send no token unless
// anonymous says otherwise.
func verifier(t testing.TB, revoked *access.Revoked, tickets *access.Tickets, anonymous *access.Grant) *access.Verifier {
	t.Helper()
	k, err := access.NewSecret("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	v, err := access.New(access.Options{Keys: []access.Key{k}, Revoked: revoked, Tickets: tickets, Anonymous: anonymous, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// request returns one with a token for the grant, from an address.
func request(t testing.TB, g access.Grant, addr string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = addr
	if g.Expires.IsZero() {
		return r // nobody
	}
	k, err := access.NewSecret("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign(g, access.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// enter lets a request in, which must be possible.
func enter(t testing.TB, g *gate.Gate, r *http.Request) *gate.Visitor {
	t.Helper()
	v, err := g.Enter(r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantProblem checks what a request is refused with.
func wantProblem(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	p, ok := errors.AsType[problem.Document](err)
	if !ok || p.Status != status || p.Code != code || p.Detail == "" {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
	if (p.Status == 429 || p.Status == 503) && p.RetryAfter <= 0 {
		t.Errorf("%s: no time after which to come back", what)
	}
	if (p.Status == 401) != strings.HasPrefix(p.Challenge, "Bearer") && p.Status != 403 {
		t.Errorf("%s: the challenge is %q", what, p.Challenge)
	}
}

func none() int { return 0 }

func hour() time.Time { return time.Now().Add(time.Hour) }

// TestOpenGateLetsAllPass and takes no memory for it.
func TestOpenGateLetsAllPass(t *testing.T) {
	g := gate.Open()
	r := request(t, access.Grant{}, "192.0.2.1:1")
	v := enter(t, g, r)
	for _, err := range []error{v.MayPublish("a"), v.MaySubscribe("**"), v.MayPublish(" bad "), v.Still(), v.Publish(1 << 30)} {
		if err != nil {
			t.Error(err)
		}
	}
	if read, err := v.Replay(); err != nil {
		t.Error(err)
	} else {
		read(1 << 40)
	}
	if v.Private() || g.PerPublisher() || !v.Expires().IsZero() {
		t.Error("a visitor of an open gate is somebody")
	}
	_, _, err := v.Ticket(t.Context())
	wantProblem(t, "a ticket", err, 404, "not_found")
	wantProblem(t, "to revoke", g.Revoke(t.Context(), "ann", "", time.Minute), 404, "not_found")
	lease, err := v.Open(true)
	if err != nil || lease.Request(r) != r || lease.Replayed() != nil || lease.Over() {
		t.Errorf("a lease of an open gate: %+v, %v", lease, err)
	}
	lease.Abandon()
	lease.Left()
	if n := testing.AllocsPerRun(100, func() { serve(t, g, r) }); n != 0 {
		t.Errorf("a request and its stream take %v allocations", n)
	}
}

// serve lets a request in, and opens and ends a stream.
func serve(t testing.TB, g *gate.Gate, r *http.Request) {
	v, err := g.Enter(r)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := v.Open(true)
	if err != nil {
		t.Fatal(err)
	}
	lease.Abandon()
}

// TestRefusalsAreWorded with status, code and what the client should know.
func TestRefusalsAreWorded(t *testing.T) {
	tickets := access.NewTickets(1)
	g := gate.New(gate.Options{Rules: gate.Rules{Verifier: verifier(t, nil, tickets, nil)}, Tickets: tickets, Open: none})
	_, err := g.Enter(request(t, access.Grant{}, "192.0.2.1:1"))
	wantProblem(t, "no token", err, 401, "no_token")
	v := enter(t, g, request(t, access.Grant{User: "ann", Publish: []string{"a"}, Subscribe: []string{"a/*"}, Expires: hour()}, "192.0.2.1:1"))
	if err := errors.Join(v.MayPublish("a"), v.MaySubscribe("a/*"), v.MaySubscribe("a/b"), v.Still()); err != nil || !v.Private() {
		t.Error(err)
	}
	wantProblem(t, "another topic", v.MayPublish("b"), 403, "forbidden")
	wantProblem(t, "a wider pattern", v.MaySubscribe("a/**"), 403, "forbidden")
	wantProblem(t, "no topic", v.MayPublish("a/*"), 400, "bad_topic")
	wantProblem(t, "no pattern", v.MaySubscribe("a/**/b"), 400, "bad_pattern")
	if text, ends, err := v.Ticket(t.Context()); err != nil || len(text) != 43 || time.Until(ends) > access.TicketLife {
		t.Errorf("a ticket: %v", err)
	}
	_, _, err = v.Ticket(t.Context())
	wantProblem(t, "a second ticket", err, 503, "too_many_tickets")
	if n := g.Stats().Refused; n != 4 { // those that are the client's mistake do not count
		t.Errorf("%d refusals are counted, want 4", n)
	}
}

// TestChangedRulesAreForNewVisitors and leave those alone who are in.
func TestChangedRulesAreForNewVisitors(t *testing.T) {
	g := gate.New(gate.Options{Rules: gate.Rules{Limits: gate.Limits{StreamsPerIP: 1}}, Open: none})
	r := request(t, access.Grant{}, "192.0.2.1:1")
	before := enter(t, g, r)
	first, err := before.Open(false)
	if err != nil {
		t.Fatal(err)
	}
	g.Change(gate.Rules{Limits: gate.Limits{StreamsPerIP: 2}})
	_, err = before.Open(false)
	wantProblem(t, "by the old rules", err, 429, "too_many_streams")
	second, err := enter(t, g, r).Open(false)
	if err != nil {
		t.Errorf("by the new rules: %v", err)
	}
	g.Change(gate.Rules{Verifier: verifier(t, nil, nil, nil)})
	if !g.PerPublisher() {
		t.Error("it does not matter who a client is")
	}
	_, err = g.Enter(r)
	wantProblem(t, "with access control", err, 401, "no_token")
	first.Left()
	second.Left()
	if n := g.Stats().Clients; n != 0 {
		t.Errorf("%d clients are counted when all have left", n)
	}
}

// TestLeasesAreGivenBackOnce by the stream that has taken one, or by who abandons it.
func TestLeasesAreGivenBackOnce(t *testing.T) {
	g := gate.New(gate.Options{Rules: gate.Rules{Limits: gate.Limits{StreamsPerIP: 2}}, Open: none})
	r := request(t, access.Grant{}, "192.0.2.1:1")
	open := func() *gate.Lease {
		t.Helper()
		lease, err := enter(t, g, r).Open(false)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	taken, abandoned := open(), open()
	if gate.TakeLease(r) != nil || gate.TakeLease(taken.Request(r)) != taken {
		t.Error("another lease was taken")
	}
	taken.Abandon() // which does nothing now
	_, err := enter(t, g, r).Open(false)
	wantProblem(t, "a third", err, 429, "too_many_streams")
	abandoned.Abandon()
	abandoned.Abandon()
	again := open()
	taken.Left()
	taken.Left()
	open().Left()
	again.Left()
	if n := g.Stats().Clients; n != 0 {
		t.Errorf("%d clients are counted when all have left", n)
	}
}

// TestVisitorsDoNotOutstayTheirTokens: what is asked later is asked again.
func TestVisitorsDoNotOutstayTheirTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := access.NewRevoked(2)
		g := gate.New(gate.Options{Rules: gate.Rules{Verifier: verifier(t, revoked, nil, nil)}, Revoked: revoked, Open: none})
		in := func(user, id string, d time.Duration) *gate.Visitor {
			grant := access.Grant{User: user, ID: id, Publish: []string{"**"}, Expires: time.Now().Add(d)}
			return enter(t, g, request(t, grant, "192.0.2.1:1"))
		}
		short, ann, bob, cid := in("dan", "0", 10*time.Second), in("ann", "1", time.Hour), in("bob", "2", time.Hour), in("cid", "3", time.Hour)
		lease, err := ann.Open(false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		wantProblem(t, "expired", short.Still(), 401, "expired_token")
		wantProblem(t, "expired, to publish", short.Publish(1), 401, "expired_token")
		_, err = short.Open(false)
		wantProblem(t, "expired, to open", err, 401, "expired_token")
		if lease.Over() || g.Revocations() != 0 || ann.Still() != nil {
			t.Error("ann is revoked too early")
		}
		if err := errors.Join(g.Revoke(t.Context(), "ann", "", time.Minute), g.Revoke(t.Context(), "", "2", time.Minute)); err != nil || g.Revocations() != 2 {
			t.Errorf("revoke: %v", err)
		}
		for _, v := range []*gate.Visitor{ann, bob} {
			wantProblem(t, "revoked", v.Still(), 401, "revoked_token")
			wantProblem(t, "revoked, to publish", v.Publish(1), 401, "revoked_token")
		}
		if !lease.Over() || cid.Publish(1) != nil {
			t.Error("the wrong ones are revoked")
		}
		wantProblem(t, "too many", g.Revoke(t.Context(), "eve", "", time.Minute), 503, "too_many_revoked")
		wantProblem(t, "a long name", g.Revoke(t.Context(), strings.Repeat("x", 256), "", time.Minute), 400, "bad_parameter")
		lease.Left()
	})
}

// TestWhoLimitsAreFor has messages of one token, address or user after the other.
func TestWhoLimitsAreFor(t *testing.T) {
	own := access.Limits{Rate: 1}
	user := func(name, id string, l access.Limits) access.Grant {
		return access.Grant{User: name, ID: id, Limits: l, Publish: []string{"**"}, Expires: hour()}
	}
	for name, c := range map[string]struct {
		limits gate.Limits
		first  access.Grant // has published all it may, from 192.0.2.1
		second access.Grant
		addr   string // of the second
		passes bool
	}{
		"another address":          {gate.Limits{PublishPerIP: 1}, access.Grant{}, access.Grant{}, "192.0.2.2:1", true},
		"the same address":         {gate.Limits{PublishPerIP: 1}, access.Grant{}, access.Grant{}, "192.0.2.1:2", false},
		"a user at the address":    {gate.Limits{PublishPerIP: 1}, access.Grant{}, user("ann", "1", access.Limits{}), "192.0.2.1:1", true},
		"a unix socket":            {gate.Limits{PublishPerIP: 1}, access.Grant{}, access.Grant{}, "@", true},
		"the user elsewhere":       {gate.Limits{PublishPerUser: 1}, user("ann", "1", access.Limits{}), user("ann", "2", access.Limits{}), "192.0.2.2:1", false},
		"another user":             {gate.Limits{PublishPerUser: 1}, user("ann", "1", access.Limits{}), user("bob", "2", access.Limits{}), "192.0.2.1:1", true},
		"a user with a limit":      {gate.Limits{}, user("ann", "1", own), user("ann", "2", own), "192.0.2.2:1", false},
		"a token with a limit":     {gate.Limits{}, user("", "1", own), user("", "1", own), "192.0.2.2:1", false},
		"another with a limit":     {gate.Limits{}, user("", "1", own), user("", "2", own), "192.0.2.1:1", true},
		"a token without a limit":  {gate.Limits{PublishPerIP: 1}, user("", "1", access.Limits{}), user("", "2", access.Limits{}), "192.0.2.1:1", false},
		"a user without any limit": {gate.Limits{PublishPerIP: 1}, user("ann", "1", access.Limits{}), user("ann", "1", access.Limits{}), "192.0.2.1:1", true},
	} {
		everybody := &access.Grant{Publish: []string{"**"}}
		g := gate.New(gate.Options{Rules: gate.Rules{Verifier: verifier(t, nil, nil, everybody), Limits: c.limits}, Open: none})
		if err := enter(t, g, request(t, c.first, "192.0.2.1:1")).Publish(1000); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := enter(t, g, request(t, c.second, c.addr)).Publish(1)
		if c.passes && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.passes {
			wantProblem(t, name, err, 429, "too_many_requests")
		}
	}
}

// TestStrangersAreHeldToTheirAddress, and nobody asks who they are.
func TestStrangersAreHeldToTheirAddress(t *testing.T) {
	g := gate.New(gate.Options{Rules: gate.Rules{Verifier: verifier(t, nil, nil, nil), Limits: gate.Limits{PublishPerIP: 1}}, Open: none})
	user := access.Grant{User: "ann", Publish: []string{"**"}, Expires: hour()}
	one, other := request(t, access.Grant{}, "192.0.2.1:1"), request(t, user, "192.0.2.2:1")
	if _, err := g.Enter(one); err == nil {
		t.Fatal("nobody needs a token, so this test proves nothing")
	}
	if err := g.Stranger(one).Publish(1000); err != nil {
		t.Error(err)
	}
	wantProblem(t, "the same address", g.Stranger(one).Publish(1), 429, "too_many_requests")
	if err := g.Stranger(other).Publish(1000); err != nil {
		t.Errorf("another address: %v", err)
	}
	wantProblem(t, "another address, whoever it is", g.Stranger(other).Publish(1), 429, "too_many_requests")
	if err := enter(t, g, other).Publish(1000); err != nil {
		t.Errorf("the user at that address: %v", err)
	}
}

// TestReplayIsChargedAfterwards to who has read, and to nobody else.
func TestReplayIsChargedAfterwards(t *testing.T) {
	g := gate.New(gate.Options{Rules: gate.Rules{Limits: gate.Limits{Replay: 10}}, Open: none})
	one, other := request(t, access.Grant{}, "192.0.2.1:1"), request(t, access.Grant{}, "192.0.2.2:1")
	lease, err := enter(t, g, one).Open(true)
	if err != nil {
		t.Fatal(err)
	}
	lease.Replayed()(100_000)
	_, err = enter(t, g, one).Open(true)
	wantProblem(t, "more history", err, 429, "too_many_requests")
	if _, err := enter(t, g, one).Open(false); err != nil {
		t.Errorf("no history: %v", err)
	}
	if _, err := enter(t, g, other).Open(true); err != nil {
		t.Errorf("another client: %v", err)
	}
	if _, err = enter(t, g, one).Replay(); err == nil {
		t.Error("history without a stream passes")
	}
	wantProblem(t, "history without a stream", err, 429, "too_many_requests")
	read, err := enter(t, g, other).Replay()
	if err != nil {
		t.Fatal(err)
	}
	read(100_000)
	_, err = enter(t, g, other).Open(true)
	wantProblem(t, "history after that without a stream", err, 429, "too_many_requests")
	if n := g.Stats().Replays["address"]; n != 3 {
		t.Errorf("%d refusals are counted, want 3", n)
	}
}

// TestShortMemoryRefusesWhatIsNew with and without rules.
func TestShortMemoryRefusesWhatIsNew(t *testing.T) {
	used := uint64(100)
	memory := limit.NewMemory(100, func() uint64 { return used })
	for _, rules := range []gate.Rules{{}, {Limits: gate.Limits{StreamsPerIP: 1}}} {
		used = 100
		memory.Sample()
		g := gate.New(gate.Options{Rules: rules, Memory: memory, Open: none})
		v := enter(t, g, request(t, access.Grant{}, "192.0.2.1:1"))
		_, err := v.Open(false)
		wantProblem(t, "a stream", err, 503, "overloaded")
		wantProblem(t, "a message", v.Publish(1), 503, "overloaded")
		used = 50
		memory.Sample()
		if _, err := v.Open(false); err != nil || v.Publish(1) != nil {
			t.Errorf("when there is memory again: %v", err)
		}
	}
}

// TestStreamsInAllAreCountedByTheEngine where nobody else counts.
func TestStreamsInAllAreCountedByTheEngine(t *testing.T) {
	open := 0
	g := gate.New(gate.Options{Rules: gate.Rules{Limits: gate.Limits{Streams: 2}}, Open: func() int { return open }})
	v := enter(t, g, request(t, access.Grant{}, "192.0.2.1:1"))
	for open = range 4 {
		if _, err := v.Open(false); open >= 2 {
			wantProblem(t, "a stream too many", err, 503, "overloaded")
		} else if err != nil {
			t.Error(err)
		}
	}
}

// TestNothingIsLeftAfterMany opens and ends streams of a few clients at once.
func TestNothingIsLeftAfterMany(t *testing.T) {
	g := gate.New(gate.Options{Rules: gate.Rules{Limits: gate.Limits{Streams: 10, StreamsPerIP: 3}}, Open: none})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := request(t, access.Grant{}, "192.0.2."+string(rune('0'+n%4))+":1")
			for range 2000 {
				v, err := g.Enter(r)
				if err != nil {
					t.Error(err)
					return
				}
				lease, err := v.Open(n%2 == 0)
				if err != nil {
					continue
				}
				if n%3 == 0 {
					gate.TakeLease(lease.Request(r)).Left()
				}
				lease.Abandon()
			}
		})
	}
	wg.Wait()
	if s := g.Stats(); s.Clients != 0 {
		t.Errorf("%d clients are counted when all have left", s.Clients)
	}
}

// Without rules a request and its stream take no allocation; with them, the request
// and the leases.
func BenchmarkEnterAndOpen(b *testing.B) {
	for name, o := range map[string]gate.Options{
		"open":   {Open: none},
		"limits": {Open: none, Rules: gate.Rules{Limits: gate.Limits{StreamsPerIP: 1000, Replay: 1 << 20}}},
		"token":  {Open: none, Rules: gate.Rules{Verifier: verifier(b, access.NewRevoked(0), nil, nil)}, Revoked: access.NewRevoked(0)},
	} {
		b.Run(name, func(b *testing.B) {
			g, r := gate.New(o), request(b, access.Grant{User: "ann", Expires: hour()}, "192.0.2.1:1")
			b.ReportAllocs()
			for b.Loop() {
				serve(b, g, r)
			}
		})
	}
}

// BenchmarkPublish is what each message costs.
func BenchmarkPublish(b *testing.B) {
	for name, l := range map[string]gate.Limits{"open": {}, "limits": {PublishPerIP: 1 << 30}} {
		b.Run(name, func(b *testing.B) {
			g, r := gate.New(gate.Options{Open: none, Rules: gate.Rules{Limits: l}}), request(b, access.Grant{}, "192.0.2.1:1")
			b.ReportAllocs()
			for b.Loop() {
				v, err := g.Enter(r)
				if err != nil || v.MayPublish("a") != nil || v.Publish(1) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
