package access_test

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/access"
)

func TestTicketIsRedeemedOnce(t *testing.T) {
	store := access.NewTickets(0)
	g := access.Grant{User: "alice", ID: "1", Subscribe: []string{"a/**"}, Expires: time.Now().Add(time.Hour)}
	text, err := store.Issue(t.Context(), g)
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(text) {
		t.Fatalf("Issue gives %q, %v, want 43 characters of base64url", text, err)
	}
	if got, err := store.Redeem(t.Context(), text); err != nil || !reflect.DeepEqual(got, g) {
		t.Errorf("Redeem gives %+v, %v, want %+v", got, err, g)
	}
	for _, bad := range []string{text, "", strings.Repeat("A", 43), text[:42]} {
		got, err := store.Redeem(t.Context(), bad)
		if code(err) != access.BadTicket || !reflect.DeepEqual(got, access.Grant{}) {
			t.Errorf("Redeem(%q) gives %+v, %v, want bad_ticket", bad, got, err)
		}
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error %q holds the ticket", err)
		}
	}
	if n := store.Len(); n != 0 {
		t.Errorf("%d tickets are left", n)
	}
}

func TestTicketIsRedeemedOnceByManyAtOnce(t *testing.T) {
	store := access.NewTickets(0)
	for range 200 {
		text, err := store.Issue(t.Context(), access.Grant{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		var redeemed atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			all.Go(func() {
				<-begin
				if _, err := store.Redeem(t.Context(), text); err == nil {
					redeemed.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		if n := redeemed.Load(); n != 1 {
			t.Fatalf("one ticket was redeemed %d times", n)
		}
	}
}

func TestTicketsAreAllDifferent(t *testing.T) {
	store, seen := access.NewTickets(0), map[string]bool{}
	for range 1000 {
		text, err := store.Issue(t.Context(), access.Grant{})
		if err != nil || seen[text] {
			t.Fatalf("Issue gives %q, %v, seen before: %v", text, err, seen[text])
		}
		seen[text] = true
	}
}

func TestTicketExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := access.NewTickets(0)
		early, _ := store.Issue(t.Context(), access.Grant{})
		late, _ := store.Issue(t.Context(), access.Grant{})
		ending, _ := store.Issue(t.Context(), access.Grant{Expires: time.Now().Add(10 * time.Second)})
		time.Sleep(access.TicketLife - 1)
		if _, err := store.Redeem(t.Context(), early); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		if _, err := store.Redeem(t.Context(), ending); code(err) != access.ExpiredToken {
			t.Errorf("of a grant that has expired: %v, want expired_token", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := store.Redeem(t.Context(), late); code(err) != access.BadTicket {
			t.Errorf("at its end: %v, want bad_ticket", err)
		}
		if _, err := store.Issue(t.Context(), access.Grant{Expires: time.Now()}); code(err) != access.ExpiredToken {
			t.Errorf("Issue of an expired grant gives %v, want expired_token", err)
		}
	})
}

func TestTicketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := access.NewTickets(32) // two for each user
		issue := func(user string) error {
			_, err := store.Issue(t.Context(), access.Grant{User: user})
			return err
		}
		for i, user := range strings.Split("abcdefghijklmnop", "") {
			if err := errors.Join(issue(user), issue(user)); err != nil {
				t.Fatalf("tickets of user %d: %v", i, err)
			}
			if err := issue(user); i < 15 && (code(err) != access.TooManyTickets || !strings.Contains(err.Error(), fmt.Sprintf("2 tickets of user %q", user))) {
				t.Fatalf("a third ticket of one user: %v, want too_many_tickets", err)
			}
		}
		if err := issue("z"); code(err) != access.TooManyTickets || !strings.Contains(err.Error(), "limit 32") {
			t.Errorf("one ticket too many: %v, want too_many_tickets with the limit", err)
		}
		time.Sleep(access.TicketLife)
		if err := issue("z"); err != nil || store.Len() != 1 {
			t.Errorf("after the others have expired: %v, %d tickets", err, store.Len())
		}
		time.Sleep(access.TicketLife)
		if store.Sweep(t.Context()); store.Len() != 0 {
			t.Errorf("Sweep leaves %d tickets", store.Len())
		}
	})
}

// TestRedeemedTicketsMakeRoom also for the same user.
func TestRedeemedTicketsMakeRoom(t *testing.T) {
	store := access.NewTickets(1)
	for range 3 {
		text, err := store.Issue(t.Context(), access.Grant{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Issue(t.Context(), access.Grant{User: "bob"}); code(err) != access.TooManyTickets {
			t.Errorf("a second ticket: %v, want too_many_tickets", err)
		}
		if _, err := store.Redeem(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}
