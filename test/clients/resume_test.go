package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// Every budget ends one connection of a reader: within the head of the answer,
// within its first bytes, within a message.
var budgets = []int{700, 1, 420, 1500, 0, 77, 611, 2400, 900}

// viaProxy opens a page of the server, and in it a stream that comes over a
// proxy: only the stream can be cut then.
func viaProxy(t *testing.T, s *server, path string) (*proxy, *source) {
	t.Helper()
	p := newProxy(t, s.addr)
	return p, open(t, s.url+"/healthz").source(p.url + path)
}

func TestBrowserThatIsCutAgainAndAgainMissesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms", "--cors.origins", "*")
	p := newProxy(t, s.addr)
	p.allow(budgets...)
	source := open(t, s.url+"/healthz").source(p.url + "/v1/topics/a")
	source.opened()
	s.trickle("a", 200, 5*time.Millisecond)
	source.await(200, "message")
	await(t, "the last connection", func() error {
		if got := p.exhaustions(); got < len(budgets) {
			return fmt.Errorf("%d connections were cut, want %d", got, len(budgets))
		}
		return nil
	})
	checkCount(t, "Chromium", data(source.records("message", "event")), 200)
}

func TestBrowserThatIsCutBeforeItsFirstMessageMissesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms", "--cors.origins", "*")
	s.publishNumbers("a", -1, 0) // what was there before is not for the reader
	p, source := viaProxy(t, s, "/v1/topics/a")
	source.opened()
	p.setDown(true)
	source.await(1, "error")
	s.publishNumbers("a", 1, 3)
	p.setDown(false)
	source.await(2, "open")
	s.publishNumbers("a", 4, 4)
	source.await(4, "message")
	checkCount(t, "Chromium", data(source.records("message", "event")), 4)
}

// A gapNotice is the data of a weir.gap event.
type gapNotice struct{ Reason, Requested, Oldest, Newest, Policy string }

// onlyGap reads the one gap that a reader was told of.
func onlyGap(t *testing.T, records []record) (g gapNotice) {
	t.Helper()
	if len(records) != 1 || records[0].Type != "weir.gap" {
		t.Fatalf("the reader was told %v, want one gap", records)
	}
	if err := json.Unmarshal([]byte(records[0].Data), &g); err != nil {
		t.Fatalf("%v: %v", records[0], err)
	}
	return g
}

func TestBrowserLearnsThatTheServerStartedAnew(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	source := open(t, s.url+"/healthz").source("/v1/topics/a")
	source.opened()
	var seen string
	for i := range 3 {
		seen = s.publish("a", strconv.Itoa(i+1), "")
	}
	source.await(3, "message")
	s.Kill() // so that the page is away when the next one starts
	source.await(1, "error")
	s = s.restart()
	s.publish("a", "4", "") // mostly before the page is back; it is not lost in any case
	source.await(2, "open")
	newest := s.publish("a", "5", "")
	source.await(5, "message")
	checkCount(t, "Chromium", data(source.records("message")), 5)

	if g := onlyGap(t, source.records("event")); g.Reason != "foreign" || g.Requested != seen || g.Policy != "diff" {
		t.Errorf("gap %+v, want that %s is foreign", g, seen)
	}
	if got := source.records("message")[4].ID; got != newest || got[:8] == seen[:8] {
		t.Errorf("after the restart the last ID is %s, want %s, of another log than %s", got, newest, seen)
	}
}

// TestBrowserMissesNothingOverAKill kills a server with its log on disk three times.
// What was acknowledged while the page could not see it comes after the restart.
func TestBrowserMissesNothingOverAKill(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms", "--cors.origins", "*", "--data", t.TempDir())
	p, source := viaProxy(t, s, "/v1/topics/a")
	source.opened()
	n := 0
	publish := func(count int) {
		s.publishNumbers("a", n+1, n+count)
		n += count
	}
	for round := range 3 {
		publish(2)
		source.await(n, "message")
		p.setDown(true)
		source.await(round+1, "error")
		publish(5) // the page sees none of them
		s.Kill()
		s = s.restart()
		publish(1)
		p.setDown(false)
		source.await(n, "message")
	}
	checkCount(t, "Chromium", data(source.records("message", "event")), n)
}

func TestBrowserThatComesBackTooLateIsTold(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string][]string{
		"diff":  {"a4", "a5"},
		"all":   {"b1", "b2", "a4", "a5"},
		"reset": {},
	} {
		t.Run("policy="+policy, func(t *testing.T) {
			t.Parallel()
			settings := filepath.Join(t.TempDir(), "weir.yaml")
			const text = "stream.retry: 100ms\ncors.origins: [\"*\"]\nhistory.topics:\n  - {topic: short/*, max-messages: 2}\n"
			if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := serve(t, "--config", settings)
			p, source := viaProxy(t, s, "/v1/events?topic=short/a&topic=b&policy="+policy)
			source.opened()
			s.publish("b", "b1", "")
			seen := s.publish("b", "b2", "")
			source.await(2, "message")
			p.setDown(true)
			source.await(1, "error")
			for i := range 5 {
				s.publish("short/a", fmt.Sprintf("a%d", i+1), "")
			}
			p.setDown(false)
			source.await(2, "open")
			newest := s.publish("b", "the newest", "")
			await(t, "the newest message", func() error {
				if got := source.records("message"); got[len(got)-1].ID != newest {
					return fmt.Errorf("the page has %v", got)
				}
				return nil
			})
			got := data(source.records("message"))
			if got = got[2 : len(got)-1]; !slices.Equal(got, want) {
				t.Errorf("after the gap came %q, want %q", got, want)
			}
			if g := onlyGap(t, source.records("event")); g.Reason != "expired" || g.Requested != seen || g.Policy != policy || g.Oldest == "" {
				t.Errorf("gap %+v, want that what follows %s has expired", g, seen)
			}
			// Who is told of the gap stands behind it and is not told again.
			p.cut()
			source.await(3, "open")
			s.publish("b", "after the gap", "")
			await(t, "a message after the gap", func() error {
				if got := data(source.records("message")); got[len(got)-1] != "after the gap" {
					return fmt.Errorf("the page has %q", got)
				}
				return nil
			})
			if got := source.records("message", "event"); len(got) != 2+1+len(want)+2 {
				t.Errorf("after another cut the page has %v", got)
			}
		})
	}
}

func TestBrowserWaitsAsLongAsRetrySays(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "300ms", "--cors.origins", "*")
	p, source := viaProxy(t, s, "/v1/topics/a")
	source.opened()
	connections := 1
	pause := func() time.Duration {
		p.cut()
		connections++
		errors, opens := source.await(connections-1, "error"), source.await(connections, "open")
		return opens[connections-1].after(errors[connections-2])
	}
	// Of several pauses the shortest counts: a busy machine makes them longer.
	shortest := func() time.Duration { return min(pause(), pause(), pause()) }

	// Chromium waits three seconds if it is told nothing.
	if got := shortest(); got < 240*time.Millisecond || got > 1500*time.Millisecond {
		t.Errorf("came back after %v, told to wait 300 ms give or take a fifth", got)
	}
	s.publish("a", "slower now", "retry=900")
	source.await(1, "message")
	if got := pause(); got < 900*time.Millisecond {
		t.Errorf("came back after %v, a message says to wait 900 ms", got)
	}
	if got := shortest(); got < 240*time.Millisecond || got > 850*time.Millisecond {
		t.Errorf("came back after %v, the new stream says 300 ms again", got)
	}
}

func TestNoContentStopsTheBrowser(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	events := stream.SSE(func(c *stream.Conn, r *http.Request) {
		_ = c.Send(sse.Event{ID: fmt.Sprint(requests.Load()), Data: []byte("from " + c.LastEventID()), Retry: 100 * time.Millisecond})
		_ = c.End()
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/events":
			_, _ = w.Write([]byte("a page"))
		case requests.Add(1) > 2:
			w.WriteHeader(http.StatusNoContent)
		default:
			events.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	source := open(t, srv.URL).source("/events")
	source.await(3, "error")
	eval[bool](source.tab, "() => new Promise(done => setTimeout(done, 500, true))") // time to come back, five times
	var got []string
	for _, r := range source.records() {
		got = append(got, r.String())
	}
	want := []string{
		"open 1", `message message "from " 1`, "error 0",
		"open 1", `message message "from 1" 2`, "error 0",
		"error 2",
	}
	if n := requests.Load(); n != 3 || !slices.Equal(got, want) {
		t.Errorf("%d requests, the page was told %q\nwant 3 requests and %q", n, got, want)
	}
}
