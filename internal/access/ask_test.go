package access_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/testnet"
)

// An application in memory, for tests in virtual time.
func application(t *testing.T, h http.HandlerFunc, o access.ForwardOptions) *access.Forward {
	t.Helper()
	l := testnet.Listen()
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	transport := &http.Transport{DialContext: l.Dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Shutdown(context.Background()) // waits for handlers
		<-done
	})
	o.URL, o.Transport = "http://app.example/auth", transport
	return forward(t, o)
}

func TestForwardKeepsAnswersForAWhile(t *testing.T) {
	private := says(403, "Cache-Control", "no-store")
	for _, c := range []struct {
		name   string
		cache  time.Duration // 0: 10 s
		answer http.HandlerFunc
		want   time.Duration
	}{
		{"default", 0, grants(aliceJSON), 10 * time.Second},
		{"set", time.Minute, grants(aliceJSON), time.Minute},
		{"off", -1, grants(aliceJSON), 0},
		{"max-age", time.Minute, grants(aliceJSON, "Cache-Control", "private, max-age=3"), 3 * time.Second},
		{"max-age is more", 0, grants(aliceJSON, "Cache-Control", "max-age=3600"), 10 * time.Second},
		{"max-age is far more", 0, grants(aliceJSON, "Cache-Control", "max-age=99999999999999999999"), 10 * time.Second},
		{"s-maxage", 0, grants(aliceJSON, "Cache-Control", `Max-Age=9,S-MaxAge="2"`), 2 * time.Second},
		{"max-age=0", 0, grants(aliceJSON, "Cache-Control", "max-age=0"), 0},
		{"max-age is none", 0, grants(aliceJSON, "Cache-Control", "max-age=-1"), 0},
		{"no-store", 0, grants(aliceJSON, "Cache-Control", "no-store"), 0},
		{"no-cache", 0, grants(aliceJSON, "Cache-Control", "private, No-Cache"), 0},
		{"private", 0, grants(aliceJSON, "Cache-Control", "private"), 10 * time.Second},
		{"Vary by what counts", 0, grants(aliceJSON, "Vary", "Cookie, origin, Authorization, Accept-Encoding"), 10 * time.Second},
		{"Vary by the URI", 0, grants(aliceJSON, "Vary", "Cookie, x-forwarded-uri"), 0},
		{"Vary by the language", 0, grants(aliceJSON, "Vary", "accept-language"), 0},
		{"Vary by anything", 0, grants(aliceJSON, "Vary", "*"), 0},
		{"grant expires", 0, grants(`{"expires":946684804}`), 4 * time.Second},
		{"401", 0, says(401), time.Second},
		{"403", time.Hour, says(403, "Cache-Control", "max-age=600"), time.Second},
		{"403, cached less", 500 * time.Millisecond, says(403), 500 * time.Millisecond},
		{"403, no-store", 0, private, 0},
		{"500", 0, says(500), 0},
	} {
		synctest.Test(t, func(t *testing.T) { // begins at 946684800
			f := application(t, c.answer, access.ForwardOptions{Cache: c.cache})
			v := asking(t, f, access.Options{})
			ask := func() uint64 {
				_, _ = v.FromRequest(get("/", "Cookie", "sid=1"))
				return f.Stats().Calls
			}
			if n := ask(); n != 1 {
				t.Fatalf("%s: %d calls, want 1", c.name, n)
			}
			if c.want > 0 {
				time.Sleep(c.want - 1)
				if n := ask(); n != 1 || f.Stats().Hits != 1 {
					t.Errorf("%s: %d calls in %v, want 1; %+v", c.name, n, c.want, f.Stats())
				}
				time.Sleep(time.Nanosecond)
			}
			if n := ask(); n != 2 {
				t.Errorf("%s: %d calls after %v, want 2", c.name, n, c.want)
			}
		})
	}
}

// TestForwardKeepsAnswersApart by what says who sends a request, and by nothing else.
func TestForwardKeepsAnswersApart(t *testing.T) {
	s := newKeyServer(t, grants(aliceJSON))
	f := forward(t, access.ForwardOptions{URL: s.URL, Cache: time.Hour})
	v := asking(t, f, access.Options{Origins: []string{"https://a.example", "https://b.example"}})
	for _, c := range []struct {
		method, target string
		header         []string
		calls          uint64 // so far
	}{
		{"GET", "/a", nil, 1},
		{"POST", "/b?c", []string{"User-Agent", "x", "Accept-Language", "de", "X-Forwarded-For", "1"}, 1},
		{"GET", "/", []string{"Cookie", "sid=1"}, 2},
		{"GET", "/", []string{"Cookie", "sid=2"}, 3},
		{"GET", "/", []string{"Authorization", "Basic sid=1"}, 4},
		{"GET", "/", []string{"Authorization", "Basic sid=1", "Cookie", "sid=1"}, 5},
		{"GET", "/", []string{"Authorization", "Basic sid=1s", "Cookie", "id=1"}, 6},
		{"GET", "/", []string{"Cookie", "sid=1", "Origin", "https://a.example"}, 7},
		{"GET", "/", []string{"Cookie", "sid=1", "Origin", "https://b.example"}, 8},
		{"GET", "/", []string{"Cookie", "sid=1"}, 8},
	} {
		r := get(c.target, c.header...)
		r.Method = c.method
		if _, err := v.FromRequest(r); err != nil || f.Stats().Calls != c.calls {
			t.Errorf("%s %s %q: %v after %d calls, want %d", c.method, c.target, c.header, err, f.Stats().Calls, c.calls)
		}
	}
}

func TestForwardKeepsABoundedNumberOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := application(t, grants(aliceJSON), access.ForwardOptions{MaxCache: 3})
		v := asking(t, f, access.Options{})
		calls := func(user int) uint64 {
			before := f.Stats().Calls
			if _, err := v.FromRequest(get("/", "Cookie", fmt.Sprint("sid=", user))); err != nil {
				t.Fatal(err)
			}
			return f.Stats().Calls - before
		}
		for user := range 5 {
			calls(user)
		}
		if n := f.Stats().Cached; n != 3 {
			t.Errorf("%d answers are kept, want 3", n)
		}
		for _, user := range []int{2, 3, 4} {
			if n := calls(user); n != 0 {
				t.Errorf("one of the newest is asked for again")
			}
		}
		if n := calls(0); n != 1 {
			t.Errorf("the oldest is kept: %d calls", n)
		}
		time.Sleep(10 * time.Second)
		if calls(9); f.Stats().Cached != 1 {
			t.Errorf("%d answers are kept after all but one have ended", f.Stats().Cached)
		}
	})
}

// TestEqualRequestsShareACall, but not an answer that says it is for one request.
func TestEqualRequestsShareACall(t *testing.T) {
	for _, c := range []struct {
		name   string
		cache  time.Duration
		header []string
		calls  uint64
	}{
		{"shared", 0, nil, 1},
		{"no-store", 0, []string{"Cache-Control", "no-store"}, 8},
		{"Vary", 0, []string{"Vary", "X-Forwarded-Uri"}, 8},
		{"cache off", -1, nil, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := application(t, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				grants(`{"user":"`+r.Header.Get("X-Forwarded-Uri")+`"}`, c.header...)(w, r)
			}, access.ForwardOptions{Cache: c.cache})
			v := asking(t, f, access.Options{})
			var all sync.WaitGroup
			var own atomic.Uint64
			for i := range 8 {
				all.Go(func() {
					path := fmt.Sprint("/", i)
					g, err := v.FromRequest(get(path, "Cookie", "sid=1"))
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
					if g.User == path {
						own.Add(1)
					}
				})
			}
			all.Wait()
			st := f.Stats()
			if st.Calls != c.calls || own.Load() != c.calls || st.Requests != 8 || st.Hits != 8-c.calls || st.InFlight != 0 {
				t.Errorf("%s: %+v, and %d answers for their own request, want %d calls", c.name, st, own.Load(), c.calls)
			}
			if st.Latency != time.Second {
				t.Errorf("%s: the last call took %v, want 1s", c.name, st.Latency)
			}
		})
	}
}

// TestForwardIsBounded: some calls run, some wait for their turn, and the rest is
// refused at once.
func TestForwardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		begin := time.Now()
		f := application(t, func(w http.ResponseWriter, r *http.Request) {
			if n := running.Add(1); time.Since(begin) < 8*time.Second { // those that time out go on here
				most.Store(max(most.Load(), n))
			}
			defer running.Add(-1)
			time.Sleep(time.Second)
			grants(aliceJSON)(w, r)
		}, access.ForwardOptions{MaxInFlight: 2, Timeout: 8500 * time.Millisecond})
		v := asking(t, f, access.Options{})
		var all sync.WaitGroup
		var granted, refused atomic.Int32
		for i := range 30 {
			all.Go(func() {
				begin := time.Now()
				_, err := v.FromRequest(get("/", "Cookie", fmt.Sprint("sid=", i)))
				switch wait := time.Since(begin); {
				case err == nil:
					granted.Add(1)
				case code(err) != access.AuthUnavailable || wait != 0 && wait != 8500*time.Millisecond:
					t.Errorf("after %v: %v, want auth_unavailable at once or after 8.5s", wait, err)
				case wait == 0:
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if granted.Load() != 16 || refused.Load() != 8 || most.Load() != 2 {
			t.Errorf("%d requests are granted, %d refused at once, and %d calls ran at once, want 16, 8, 2", granted.Load(), refused.Load(), most.Load())
		}
	})
}

func TestForwardWaitsNoLongerThanItMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := application(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(3 * time.Second):
				grants(aliceJSON)(w, r)
			}
		}, access.ForwardOptions{Timeout: 2 * time.Second})
		v := asking(t, f, access.Options{})
		begin := time.Now()
		_, err := v.FromRequest(get("/"))
		if code(err) != access.AuthUnavailable || time.Since(begin) != 2*time.Second || !strings.Contains(errors.Unwrap(err).Error(), ": timed out after 2s") {
			t.Errorf("after %v: %v (%v), want a timeout after 2s", time.Since(begin), err, errors.Unwrap(err))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if _, err := v.FromRequest(get("/").WithContext(ctx)); code(err) != access.AuthUnavailable || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v, want auth_unavailable when the request ends", time.Since(begin), err)
		}
	})
}

// TestClientThatLeavesDoesNotEndTheCall, for which others wait.
func TestClientThatLeavesDoesNotEndTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := application(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			grants(aliceJSON)(w, r)
		}, access.ForwardOptions{})
		v := asking(t, f, access.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := v.FromRequest(get("/").WithContext(ctx))
			first <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			_, err := v.FromRequest(get("/"))
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-first; code(err) != access.AuthUnavailable {
			t.Errorf("the request that ended: %v", err)
		}
		if err := <-second; err != nil || f.Stats().Calls != 1 {
			t.Errorf("the one that waits: %v after %d calls, want 1", err, f.Stats().Calls)
		}
	})
}

func TestForwardReportsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		var reports []string
		f := application(t, func(w http.ResponseWriter, r *http.Request) {
			if fails.Load() {
				says(500)(w, r)
			} else {
				grants(aliceJSON)(w, r)
			}
		}, access.ForwardOptions{Cache: -1, Report: func(err error) { reports = append(reports, fmt.Sprint(err)) }})
		v := asking(t, f, access.Options{})
		failure := "ask http://app.example/auth: the answer is 500; want 200 with a grant, 401 or 403"
		for _, c := range []struct {
			fails bool
			wait  time.Duration
			want  string // newest report; "": none
		}{
			{false, 0, ""}, {true, 0, failure}, {true, 999 * time.Millisecond, ""}, {true, time.Millisecond, failure},
			{false, 0, "<nil>"}, {false, 0, ""}, {true, 0, ""}, {true, time.Second, failure},
		} {
			time.Sleep(c.wait)
			fails.Store(c.fails)
			reports = nil
			_, _ = v.FromRequest(get("/"))
			if got := strings.Join(reports, ", "); got != c.want {
				t.Errorf("after %v, a failure: %v: %q is reported, want %q", c.wait, c.fails, got, c.want)
			}
		}
	})
}
