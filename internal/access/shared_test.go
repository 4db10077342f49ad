package access_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/access"
)

// A logStore is a log in memory as several servers have it in common, which know at once
// what is stored.
type logStore struct {
	*eventlog.Memory
	asked func() // nil, or is called when somebody has asked for a value, or is about to
}

func newStore(t *testing.T, o eventlog.Options) *logStore {
	t.Helper()
	log, err := eventlog.NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return &logStore{Memory: log}
}

func (s *logStore) Follow(prefix string, fn func(key string, value []byte)) {
	for key, value := range s.Values(prefix) {
		fn(key, value)
	}
	s.FollowValues(func(puts []eventlog.Put) {
		for _, p := range puts {
			if strings.HasPrefix(p.Key, prefix) {
				fn(p.Key, p.Value)
			}
		}
	})
}

func (s *logStore) Value(key string) []byte {
	value := s.Memory.Value(key)
	if s.asked != nil {
		s.asked()
		if now := s.Memory.Value(key); now != nil {
			return now
		}
	}
	return value
}

func (s *logStore) Change(ctx context.Context, expect, puts map[string][]byte) error {
	err := s.CommitIf(ctx, eventlog.Change{Expect: asPuts(expect), Puts: asPuts(puts)})
	switch {
	case errors.Is(err, eventlog.ErrChanged):
		return access.ErrChanged
	case errors.Is(err, eventlog.ErrFull):
		return access.ErrNoRoom
	}
	return err
}

func asPuts(values map[string][]byte) (puts []eventlog.Put) {
	for key, value := range values {
		puts = append(puts, eventlog.Put{Key: key, Value: value})
	}
	return puts
}

func (s *logStore) Sync(context.Context) error {
	return s.Append(context.Background()) // fails if the log is closed
}

// keys are those of all values.
func (s *logStore) keys() (keys []string) {
	for key := range s.Values("") {
		keys = append(keys, key)
	}
	return keys
}

// tickets are those of another server.
func (s *logStore) tickets(most int) *access.Tickets {
	t := access.NewTickets(most)
	t.Share(s)
	return t
}

// revoked is what another server knows.
func (s *logStore) revoked(most int) *access.Revoked {
	r := access.NewRevoked(most)
	r.Share(s)
	return r
}

// TestTicketHoldsAtOtherServers once, for all that it stands for.
func TestTicketHoldsAtOtherServers(t *testing.T) {
	store := newStore(t, eventlog.Options{})
	a, b := store.tickets(0), store.tickets(0)
	want := must(verifier(t, access.Options{}).FromRequest(bearer(good(t)))) // with a digest
	want.Info, want.Limits = `{"name":"Ada"}`, access.Limits{Streams: 2, Rate: 3}
	want.Issued, want.Expires = time.Now().UTC().Round(0), time.Unix(253402300799, 0).Add(time.Minute)
	for _, servers := range [][2]*access.Tickets{{a, b}, {b, a}, {a, a}, {a, store.tickets(0)}} {
		text := must(servers[0].Issue(t.Context(), want))
		if servers[1].Len() == 0 {
			servers[1] = store.tickets(0) // that started afterwards
		}
		for key, value := range store.Values("") {
			if strings.Contains(key+string(value), text) {
				t.Errorf("the ticket stands in the store: %s %s", key, value)
			}
		}
		got, err := servers[1].Redeem(t.Context(), text)
		if err != nil || got.Token() != want.Token() || !got.Issued.Equal(want.Issued) || got.Expires.Unix() != 253402300799 {
			t.Errorf("Redeem gives %+v, %v, want %+v", got, err, want)
		}
		got.Issued, got.Expires = want.Issued, want.Expires
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Redeem gives %+v, want %+v", got, want)
		}
		for i, s := range servers {
			if _, err := s.Redeem(t.Context(), text); code(err) != access.BadTicket || s.Len() != 0 {
				t.Errorf("server %d redeems again: %v, and has %d tickets", i, err, s.Len())
			}
		}
	}
	if keys := store.keys(); len(keys) > 0 {
		t.Errorf("the store still has %q", keys)
	}
}

// TestOneOfSeveralServersRedeems a ticket that comes to all at once: each has found it
// before one takes it.
func TestOneOfSeveralServersRedeems(t *testing.T) {
	store := newStore(t, eventlog.Options{})
	servers := []*access.Tickets{store.tickets(0), store.tickets(0), store.tickets(0)}
	for i := range 50 {
		text := must(servers[i%3].Issue(t.Context(), access.Grant{User: "alice"}))
		var finding sync.WaitGroup
		finding.Add(len(servers))
		store.asked = func() { finding.Done(); finding.Wait() }
		var redeemed atomic.Int32
		var all sync.WaitGroup
		for _, s := range servers {
			all.Go(func() {
				if _, err := s.Redeem(t.Context(), text); err == nil {
					redeemed.Add(1)
				} else if code(err) != access.BadTicket {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := redeemed.Load(); n != 1 {
			t.Fatalf("one ticket was redeemed %d times", n)
		}
	}
}

// TestSharedTicketsExpire everywhere, and who issued them deletes them, or others if it is
// gone.
func TestSharedTicketsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		a, gone, b := store.tickets(0), store.tickets(0), store.tickets(0)
		var texts []string
		for range 1500 { // more than are deleted at once
			texts = append(texts, must(a.Issue(t.Context(), access.Grant{User: fmt.Sprint(len(texts) % 100)})))
		}
		must(gone.Issue(t.Context(), access.Grant{}))
		time.Sleep(access.TicketLife - 1)
		late := store.tickets(0)
		if _, err := b.Redeem(t.Context(), texts[0]); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		for i, s := range []*access.Tickets{a, b, late} {
			if _, err := s.Redeem(t.Context(), texts[1]); code(err) != access.BadTicket {
				t.Errorf("server %d, at the end: %v, want bad_ticket", i, err)
			}
		}
		sweep := func(s *access.Tickets, what string, want int) {
			t.Helper()
			if err := s.Sweep(t.Context()); err != nil || s.Len() != 0 || len(store.keys()) != want {
				t.Errorf("%s: %v, it knows %d tickets, the store has %d, want %d", what, err, s.Len(), len(store.keys()), want)
			}
		}
		sweep(b, "another server sweeps", 1500)
		sweep(a, "the server sweeps that issued them", 1)
		time.Sleep(access.TicketLife)
		sweep(b, "another server sweeps when nobody else has", 0)
	})
}

// TestClocksOfOthersDoNoHarm: a ticket that ends in an hour, or ended a minute ago, by the
// clock of who issued it.
func TestClocksOfOthersDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		server := store.tickets(0)
		issue := func(ends time.Duration) (text string) {
			random := sha256.Sum256([]byte(ends.String()))
			text = base64.RawURLEncoding.EncodeToString(random[:])
			sum := sha256.Sum256([]byte(text))
			value := fmt.Sprintf(`{"ends":%q,"grant":{"User":"alice"}}`, time.Now().Add(ends).UTC().Format(time.RFC3339Nano))
			if err := store.Commit(t.Context(), []eventlog.Put{{Key: "ticket/" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte(value)}}); err != nil {
				t.Fatal(err)
			}
			return text
		}
		fast, slow, right := issue(time.Hour), issue(-time.Minute), issue(access.TicketLife)
		if _, err := server.Redeem(t.Context(), slow); code(err) != access.BadTicket {
			t.Errorf("a ticket that has ended: %v", err)
		}
		if _, err := server.Redeem(t.Context(), right); err != nil {
			t.Error(err)
		}
		time.Sleep(access.TicketLife - 1)
		if err := server.Sweep(t.Context()); err != nil || len(store.keys()) != 2 {
			t.Errorf("%v, %q are left: what others issued is deleted too early", err, store.keys())
		}
		time.Sleep(time.Nanosecond)
		if _, err := server.Redeem(t.Context(), fast); code(err) != access.BadTicket {
			t.Errorf("a ticket that ends in an hour, after %v: %v", access.TicketLife, err)
		}
	})
}

// TestSharedTicketsAreBounded for all servers together.
func TestSharedTicketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		servers := []*access.Tickets{store.tickets(32), store.tickets(32)} // two for each user
		texts := map[string]string{}
		for i, user := range strings.Split("abcdefghijklmnop", "") {
			texts[user] = must(servers[0].Issue(t.Context(), access.Grant{User: user}))
			must(servers[1].Issue(t.Context(), access.Grant{User: user}))
			for j, s := range servers {
				if _, err := s.Issue(t.Context(), access.Grant{User: user}); i < 15 && (code(err) != access.TooManyTickets || !strings.Contains(err.Error(), fmt.Sprintf("2 tickets of user %q", user))) {
					t.Errorf("server %d issues a third ticket of one user: %v", j, err)
				}
			}
		}
		for j, s := range servers {
			if _, err := s.Issue(t.Context(), access.Grant{User: "z"}); code(err) != access.TooManyTickets || !strings.Contains(err.Error(), "limit 32") {
				t.Errorf("server %d issues one too many: %v", j, err)
			}
		}
		must(servers[1].Redeem(t.Context(), texts["a"]))
		must(servers[0].Issue(t.Context(), access.Grant{User: "a"}))
		time.Sleep(access.TicketLife)
		must(servers[1].Issue(t.Context(), access.Grant{User: "z"}))
		if servers[0].Len() > 33 || servers[1].Len() != 1 {
			t.Errorf("after the others have expired there are %d and %d", servers[0].Len(), servers[1].Len())
		}
	})
}

// TestLargeGrantsDoNotFillTheStore: what else is in it must go on.
func TestLargeGrantsDoNotFillTheStore(t *testing.T) {
	store := newStore(t, eventlog.Options{})
	server := store.tickets(1_000_000)
	large := access.Grant{User: "alice"}
	for i := range access.MaxPatterns {
		large.Subscribe = append(large.Subscribe, fmt.Sprint(i, strings.Repeat("/x", 120)))
	}
	issued, err := 0, error(nil)
	for ; err == nil && issued < 100; issued++ {
		_, err = server.Issue(t.Context(), large)
	}
	if code(err) != access.TooManyTickets || !strings.Contains(err.Error(), `tickets of user "alice"`) || !strings.Contains(err.Error(), "limit 1048576") || issued < 20 {
		t.Errorf("after %d tickets: %v", issued, err)
	}
	for i := range 1000 {
		large.User = fmt.Sprint("user", i)
		if _, err = server.Issue(t.Context(), large); err != nil {
			break
		}
	}
	if code(err) != access.TooManyTickets || !strings.Contains(err.Error(), "limit 16777216") {
		t.Errorf("tickets of many: %v", err)
	}
}

// TestWithoutTheStoreNothingIsDecided, and nothing stays behind.
func TestWithoutTheStoreNothingIsDecided(t *testing.T) {
	store := newStore(t, eventlog.Options{})
	tickets, revoked := store.tickets(0), store.revoked(0)
	text := must(tickets.Issue(t.Context(), access.Grant{User: "alice"}))
	unknown := must(access.NewTickets(0).Issue(t.Context(), access.Grant{}))
	store.Close()
	for what, err := range map[string]error{
		"Issue":                         second(tickets.Issue(t.Context(), access.Grant{User: "alice"})),
		"Redeem":                        second(tickets.Redeem(t.Context(), text)),
		"Redeem of what is not known":   second(tickets.Redeem(t.Context(), unknown)),
		"Revoke":                        revoked.Revoke(t.Context(), "1", time.Time{}),
		"RevokeUser":                    revoked.RevokeUser(t.Context(), "alice", time.Now(), time.Time{}),
		"Revoke when there was no room": store.revoked(1).Revoke(t.Context(), "1", time.Time{}),
	} {
		if code(err) != access.LogUnavailable || strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want log_unavailable", what, err)
		}
		if e, _ := errors.AsType[*access.Error](err); e == nil || e.Status() != 503 || e.RetryAfter() == 0 || !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s: %v, want status 503 and the reason", what, err)
		}
	}
	if err := second(tickets.Redeem(t.Context(), "nonsense")); code(err) != access.BadTicket {
		t.Errorf("what is no ticket needs no store: %v", err)
	}
	if tickets.Len() != 1 || revoked.Len() != 0 || revoked.Count() != 0 || revoked.Check(access.Grant{User: "alice"}) != nil {
		t.Errorf("%d tickets are counted and %d revocations", tickets.Len(), revoked.Len())
	}
}

func second[T any](_ T, err error) error { return err }

// TestFullStoreRefuses tickets and revocations.
func TestFullStoreRefuses(t *testing.T) {
	store := newStore(t, eventlog.Options{ValueBytes: 10})
	tickets, revoked := store.tickets(0), store.revoked(0)
	if err := second(tickets.Issue(t.Context(), access.Grant{})); code(err) != access.TooManyTickets || tickets.Len() != 0 {
		t.Errorf("Issue: %v, with %d tickets", err, tickets.Len())
	}
	if err := revoked.Revoke(t.Context(), "1", time.Time{}); code(err) != access.TooManyRevoked || revoked.Len() != 0 {
		t.Errorf("Revoke: %v, with %d entries", err, revoked.Len())
	}
}

// TestNonsenseInTheStoreIsNothing, whoever put it there.
func TestNonsenseInTheStoreIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		tickets, revoked := store.tickets(0), store.revoked(0)
		put := func(key, value string) {
			if err := store.Commit(t.Context(), []eventlog.Put{{Key: key, Value: []byte(value)}}); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256([]byte(strings.Repeat("A", 43)))
		hash := base64.RawURLEncoding.EncodeToString(sum[:])
		for _, value := range []string{"", "null", "{", `"x"`, `{"until":"never","ends":0}`} {
			for _, key := range []string{"ticket/", "ticket/x", "ticket/" + hash + hash, "ticket/" + strings.Repeat("!", 43), "revoked/", "revoked/user", "revoked/nobody/x"} {
				put(key, value)
			}
			put("ticket/"+hash, value)
			put("revoked/user/alice", value)
			if err := second(tickets.Redeem(t.Context(), strings.Repeat("A", 43))); code(err) != access.BadTicket {
				t.Errorf("%q counts as a ticket: %v", value, err)
			}
			if err := revoked.Check(access.Grant{User: "alice"}); err != nil {
				t.Errorf("%q counts as a revocation: %v", value, err)
			}
			if err := revoked.RevokeUser(t.Context(), "alice", time.Now(), time.Now().Add(time.Second)); err != nil || revoked.Check(access.Grant{User: "alice"}) == nil {
				t.Errorf("over %q: %v", value, err)
			}
			time.Sleep(2 * time.Minute)
			if err := errors.Join(tickets.Sweep(t.Context()), revoked.Sweep(t.Context())); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			if err := tickets.Sweep(t.Context()); err != nil || tickets.Len() != 0 || revoked.Len() != 0 || store.Value("ticket/"+hash) != nil || store.Value("revoked/user/alice") != nil {
				t.Errorf("%v, %q is left as %d tickets and %d revocations, with %q", err, value, tickets.Len(), revoked.Len(), store.keys())
			}
		}
	})
}

// TestOthersKnowWhoIsRevoked at once, and those that start later.
func TestOthersKnowWhoIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		a, b := store.revoked(0), store.revoked(0)
		since := time.Now()
		name := "alice/or \"so\" ü"
		if err := a.RevokeUser(t.Context(), name, since, since.Add(time.Hour)); err != nil || len(a.News()) != 0 || len(b.News()) != 1 {
			t.Errorf("%v, what one server revokes is news for another, %d, and not for itself, %d", err, len(b.News()), len(a.News()))
		}
		if err := errors.Join(b.Revoke(t.Context(), name, since.Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		servers := []*access.Revoked{a, b, store.revoked(0)}
		check := func(at string, g access.Grant, want access.Code) {
			t.Helper()
			for i, r := range servers {
				if err := r.Check(g); code(err) != want {
					t.Errorf("%s: server %d says of %+v: %v, want %q", at, i, g, err, want)
				}
			}
		}
		for i, r := range servers {
			select {
			case <-r.News():
			default:
				t.Errorf("server %d has no news", i)
			}
			if i == 2 && len(r.News()) > 0 {
				t.Error("twice the same news")
			}
			if r.Count() != 2 || r.Len() != 2 {
				t.Errorf("server %d has heard of %d, and holds %d, want 2", i, r.Count(), r.Len())
			}
		}
		check("at once", access.Grant{User: name, Issued: since}, access.RevokedToken)
		check("at once", access.Grant{User: name}, access.RevokedToken)
		check("at once", access.Grant{ID: name}, access.RevokedToken)
		check("at once", access.Grant{User: name, Issued: since.Add(1)}, "")
		check("at once", access.Grant{User: "alice"}, "")
		// Neither of two makes the other less.
		if err := errors.Join(b.RevokeUser(t.Context(), name, since.Add(2), since.Add(time.Minute)), a.Revoke(t.Context(), name, since.Add(2*time.Minute))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute - 1)
		check("later", access.Grant{User: name, Issued: since.Add(2)}, access.RevokedToken)
		check("later", access.Grant{ID: name}, access.RevokedToken)
		time.Sleep(time.Nanosecond)
		check("at its end", access.Grant{ID: name}, "")
		time.Sleep(time.Hour)
		check("at the end", access.Grant{User: name}, "")
	})
}

// TestRevokingAtOnceTakesTheLatest of what several servers say of one user.
func TestRevokingAtOnceTakesTheLatest(t *testing.T) {
	store := newStore(t, eventlog.Options{})
	servers := []*access.Revoked{store.revoked(0), store.revoked(0), store.revoked(0)}
	now := time.Now()
	for round := range 50 {
		user := fmt.Sprint("user", round)
		var all sync.WaitGroup
		for i := range 9 {
			all.Go(func() {
				if err := servers[i%3].RevokeUser(t.Context(), user, now.Add(time.Duration(i)), now.Add(time.Hour-time.Duration(i)*time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		value := string(store.Value("revoked/user/" + user))
		want := fmt.Sprintf(`{"since":%q,"until":%q}`, now.Add(8).UTC().Format(time.RFC3339Nano), now.Add(time.Hour).UTC().Format(time.RFC3339Nano))
		if value != want {
			t.Fatalf("the store has %s, want %s", value, want)
		}
		for i, r := range servers {
			if r.Check(access.Grant{User: user, Issued: now.Add(8)}) == nil || r.Check(access.Grant{User: user, Issued: now.Add(9)}) != nil {
				t.Errorf("server %d does not hold the latest", i)
			}
		}
	}
}

// TestSharedRevocationsAreBounded for all servers together, and deleted when they have
// ended, by any of them.
func TestSharedRevocationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		a, b := store.revoked(3), store.revoked(3)
		now := time.Now()
		if err := errors.Join(a.Revoke(t.Context(), "1", now.Add(time.Minute)), b.Revoke(t.Context(), "2", now.Add(time.Hour)), a.Revoke(t.Context(), "3", now.Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		full := func(at string) {
			t.Helper()
			for i, r := range []*access.Revoked{a, b} {
				if err := r.Revoke(t.Context(), "one more", time.Time{}); code(err) != access.TooManyRevoked || !strings.Contains(err.Error(), "limit 3") {
					t.Errorf("%s, server %d: %v, want too_many_revoked", at, i, err)
				}
			}
		}
		full("at once")
		if err := b.Revoke(t.Context(), "3", now.Add(2*time.Hour)); err != nil { // takes no room
			t.Error(err)
		}
		time.Sleep(2*time.Minute - 1) // of a clock that is late one has not ended
		full("before the margin has passed")
		time.Sleep(time.Nanosecond)
		if err := b.Revoke(t.Context(), "one more", now.Add(time.Hour)); err != nil || a.Len() != 3 || b.Len() != 3 {
			t.Errorf("after one has ended: %v, %d and %d", err, a.Len(), b.Len())
		}
		time.Sleep(time.Hour)
		if err := a.Sweep(t.Context()); err != nil || a.Len() != 1 || b.Len() != 1 || len(store.keys()) != 1 || b.Check(access.Grant{ID: "3"}) == nil {
			t.Errorf("Sweep: %v, %d and %d are left, and %q", err, a.Len(), b.Len(), store.keys())
		}
	})
}

// TestManyRevocationsAreSwept in several changes, while others do so as well.
func TestManyRevocationsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		servers := []*access.Revoked{store.revoked(0), store.revoked(0)}
		for i := range 2500 {
			if err := servers[i%2].Revoke(t.Context(), fmt.Sprint(i), time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		for range 3 { // one that comes too late leaves the rest for the next time
			var all sync.WaitGroup
			for _, r := range servers {
				all.Go(func() {
					if err := r.Sweep(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		if n := len(store.keys()); n != 0 || servers[0].Len() != 0 || servers[1].Len() != 0 {
			t.Errorf("%d values are left, and %d and %d entries", n, servers[0].Len(), servers[1].Len())
		}
	})
}

// TestWhatIsRevokedLongerIsNotSwept although it has ended when that begins.
func TestWhatIsRevokedLongerIsNotSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, eventlog.Options{})
		a, b := store.revoked(0), store.revoked(0)
		if err := a.Revoke(t.Context(), "1", time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		store.asked = func() {
			store.asked = nil
			if err := b.Revoke(t.Context(), "1", time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
		if err := a.Sweep(t.Context()); err != nil || a.Check(access.Grant{ID: "1"}) == nil || len(store.keys()) != 1 {
			t.Errorf("Sweep: %v, it has deleted what was revoked again: %q", err, store.keys())
		}
	})
}
