package presence_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/presence"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A site is a hub in memory whose readers are known.
type site struct {
	*presence.Presence
	hub *hub.Hub
}

// newSite starts one that ends with the test.
func newSite(t *testing.T, o presence.Options) *site {
	t.Helper()
	s := &site{hub: newHub(t)}
	s.run(t, o)
	return s
}

func newHub(t *testing.T) *hub.Hub {
	t.Helper()
	h, err := hub.New(hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// run starts a presence on the hub of s, and returns what ends it.
func (s *site) run(t *testing.T, o presence.Options) (stop func()) {
	o.Hub = s.hub
	s.Presence = presence.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// events returns what was published to a topic and those below, as lines, sorted.
func events(t *testing.T, h *hub.Hub, pattern string) (lines []string) {
	t.Helper()
	for _, e := range entries(t, h, pattern) {
		lines = append(lines, e.Type+" "+string(e.Data))
	}
	slices.Sort(lines)
	return lines
}

func entries(t *testing.T, h *hub.Hub, pattern string) []*eventlog.Entry {
	t.Helper()
	sel, err := eventlog.Select(pattern)
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.Log().Read(t.Context(), sel, 0, h.Log().Head(), eventlog.Limit{Entries: 100_000, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

func wantEvents(t *testing.T, s *site, want ...string) {
	t.Helper()
	if got := events(t, s.hub, "weir/**"); !slices.Equal(got, want) {
		t.Errorf("published\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const soon = 300 * time.Millisecond // the next turns are over

func TestUsersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/*"}, Grace: 5 * time.Second})
		ada := s.Arrive([]string{"rooms/1", "rooms/1", "news"}, "ada", `{"name":"Ada"}`, "1")
		again := s.Arrive([]string{"rooms/1"}, "ada", "", "2")
		if other := s.Arrive([]string{"news", "rooms/*"}, "ada", "", "3"); other != nil {
			t.Error("a stream of other topics and of patterns counts")
		}
		time.Sleep(soon)
		joined := []string{`join {"topic":"rooms/1","user":"ada","info":{"name":"Ada"}}`, `occupied {"topic":"rooms/1"}`}
		wantEvents(t, s, joined...)
		again.Leave()
		time.Sleep(time.Minute)
		wantEvents(t, s, joined...) // one connection is left

		ada.Leave() // a reload
		time.Sleep(4 * time.Second)
		if room := s.Room("rooms/1", 10); room.Connections != 0 || len(room.Users) != 1 || room.Users[0].Connections != 0 {
			t.Errorf("within the grace time the room is %+v", room)
		}
		ada = s.Arrive([]string{"rooms/1"}, "ada", `{"name":"Ada"}`, "4")
		time.Sleep(time.Minute)
		wantEvents(t, s, joined...)

		bob := s.Arrive([]string{"rooms/1"}, "", "", "5") // nobody in particular
		ada.Leave()
		time.Sleep(5*time.Second + soon)
		left := slices.Concat(joined[:1], []string{`leave {"topic":"rooms/1","user":"ada","info":{"name":"Ada"}}`}, joined[1:])
		wantEvents(t, s, left...)
		bob.Leave()
		time.Sleep(5*time.Second + soon)
		wantEvents(t, s, append(left, `vacated {"topic":"rooms/1"}`)...)
		s.Arrive([]string{"rooms/2"}, "cyd", "", "6").Leave()
		s.Arrive([]string{"rooms/2"}, "cyd", "", "7").Leave()
		cyd := s.Arrive([]string{"rooms/2"}, "cyd", "", "8")
		time.Sleep(soon)
		cyd.Leave()
		time.Sleep(5*time.Second + soon)
		if got := events(t, s.hub, "weir/presence/rooms/2"); len(got) != 4 || !strings.HasPrefix(got[0], "join") || !strings.HasPrefix(got[3], "vacated") {
			t.Errorf("of the second room was published %q", got)
		}
		if st := s.Stats(); st.Topics != 0 || st.Users != 0 {
			t.Errorf("when all have gone there is %+v", st)
		}
		for key := range s.hub.Log().Values("") {
			t.Errorf("when all have gone there is the value %q", key)
		}
	})
}

func TestRoomSaysWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/**"}})
		for i, user := range []string{"bob", "ada", "ada", "", "cyd"} {
			s.Arrive([]string{"rooms/1"}, user, fmt.Sprintf(`{"n":%q}`, user), fmt.Sprint(i))
		}
		s.Arrive([]string{"rooms/2/x"}, "ada", "", "9")
		time.Sleep(soon)
		room := s.Room("rooms/1", 2)
		if len(room.Users) != 2 || room.Users[0].Name != "ada" || room.Users[0].Connections != 2 || string(room.Users[1].Info) != `{"n":"bob"}` {
			t.Errorf("users are %+v", room.Users)
		}
		if room.Connections != 5 || room.Total != 3 {
			t.Errorf("the room has %d connections and %d users, want 5 and 3", room.Connections, room.Total)
		}
		if _, seq, ok := eventlog.ParseID(room.LastID); !ok || seq != s.hub.Log().Head() {
			t.Errorf("last ID is %q, the head %d", room.LastID, s.hub.Log().Head())
		}
		list, total := s.Counts("rooms/**", 1)
		if total != 2 || len(list) != 1 || list[0] != (presence.Count{Topic: "rooms/1", Connections: 5, Users: 3}) {
			t.Errorf("counts are %+v of %d", list, total)
		}
	})
}

// TestAfterARestart has a log that outlives the process: those who do not come back
// have left, the others have never been away.
func TestAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := presence.Options{Topics: []string{"rooms/*"}, Grace: 5 * time.Second}
		s := &site{hub: newHub(t)}
		stop := s.run(t, o)
		s.Arrive([]string{"rooms/1"}, "ada", "", "1")
		s.Arrive([]string{"rooms/1"}, "bob", "", "2")
		time.Sleep(soon)
		stop()
		before := events(t, s.hub, "weir/**")
		s.run(t, o)
		s.Arrive([]string{"rooms/1"}, "ada", "", "1")
		time.Sleep(time.Minute)
		wantEvents(t, s, slices.Insert(before, 2, `leave {"topic":"rooms/1","user":"bob"}`)...)
	})
}

// TestNothingIsToldTwice has two nodes that both take themselves for the oldest, as may
// be for a moment.
func TestNothingIsToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/*"}})
		other := presence.New(presence.Options{Hub: s.hub, Shared: true})
		ada := presence.Who{Topic: "rooms/1", User: "ada"}
		for range 2 {
			if err := other.Tell(t.Context(), ada, true); err != nil {
				t.Error(err)
			}
		}
		joined := []string{`join {"topic":"rooms/1","user":"ada"}`}
		wantEvents(t, s, joined...)
		for range 2 {
			if err := other.Tell(t.Context(), ada, false); err != nil {
				t.Error(err)
			}
		}
		wantEvents(t, s, append(joined, `leave {"topic":"rooms/1","user":"ada"}`)...)
	})
}

func TestConnectionsArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Connections: []string{"a", "b"}})
		stay := s.Arrive([]string{"a", "b", "c"}, "ada", "", "7")
		s.Arrive([]string{"b"}, "", "", "8")
		time.Sleep(soon)
		stay.Leave()
		time.Sleep(soon)
		wantEvents(t, s,
			`connect {"topic":"a","connection":"7","user":"ada"}`, `connect {"topic":"b","connection":"7","user":"ada"}`, `connect {"topic":"b","connection":"8"}`,
			`disconnect {"topic":"a","connection":"7","user":"ada"}`, `disconnect {"topic":"b","connection":"7","user":"ada"}`)
	})
}

func TestNoMoreUsersThanThereIsRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/*"}, Most: 2})
		a, b := s.Arrive([]string{"rooms/1"}, "a", "", "1"), s.Arrive([]string{"rooms/1"}, "b", "", "2")
		if c := s.Arrive([]string{"rooms/1"}, "c", "", "3"); c != nil || s.Stats().Refused != 1 {
			t.Errorf("a third user: %v, %d refused", c, s.Stats().Refused)
		}
		if again := s.Arrive([]string{"rooms/1"}, "a", "", "4"); again == nil {
			t.Error("a user who is there takes no more room")
		}
		b.Leave()
		if c := s.Arrive([]string{"rooms/1"}, "c", "", "3"); c == nil {
			t.Error("the room of one who has gone is not free")
		}
		a.Leave()
	})
}

// TestManyAtOnce has more changes than one batch.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/*"}})
		const n = 3333
		var stays []*presence.Stay
		for i := range n {
			stays = append(stays, s.Arrive([]string{"rooms/1"}, fmt.Sprint("u", i), "", fmt.Sprint(i)))
		}
		time.Sleep(soon)
		if got := len(events(t, s.hub, "weir/**")); got != n+1 {
			t.Errorf("%d events, want %d", got, n+1)
		}
		for _, stay := range stays {
			stay.Leave()
		}
		time.Sleep(soon)
		if got := len(events(t, s.hub, "weir/**")); got != 2*(n+1) {
			t.Errorf("%d events, want %d", got, 2*(n+1))
		}
	})
}

// TestATopicIsOccupiedBeforeItsUsersJoin wants an order of what happens at once.
func TestATopicIsOccupiedBeforeItsUsersJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, presence.Options{Topics: []string{"rooms/*"}})
		var stays []*presence.Stay
		for _, user := range []string{"cyd", "ada", "bob"} {
			stays = append(stays, s.Arrive([]string{"rooms/1"}, user, "", user))
		}
		time.Sleep(soon)
		for _, stay := range stays {
			stay.Leave()
		}
		time.Sleep(soon)
		var kinds []string
		for _, e := range entries(t, s.hub, "weir/**") {
			kinds = append(kinds, e.Type)
		}
		if want := []string{"occupied", "join", "join", "join", "leave", "leave", "leave", "vacated"}; !slices.Equal(kinds, want) {
			t.Errorf("the events are %q, want %q", kinds, want)
		}
	})
}
