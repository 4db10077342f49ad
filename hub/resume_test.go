package hub_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/sse"
)

func TestResumeByHeaderAndParameter(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		for i := range 5 {
			s.publish(fmt.Sprint(i), "a")
		}
		id := s.id(3)
		for _, name := range []string{"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID"} {
			r := s.get("?topic=a&" + name + "=" + url.QueryEscape(id))
			r.want(id+": ", s.id(4)+": 3", s.id(5)+": 4")
			r.drop()
		}
		r := s.get("?topic=a&last_event_id="+s.id(1)+"&since=start&last=4", from(id)) // the header wins
		r.want(id+": ", s.id(4)+": 3", s.id(5)+": 4")
		r = s.get("?topic=a&since=start&last=4&last_event_id=" + id) // and the ID wins over the rest
		r.want(id+": ", s.id(4)+": 3", s.id(5)+": 4")
		s.publish("live", "a")
		r.want(s.id(6) + ": live")
	})
}

// TestReaderThatDropsBeforeTheFirstMessageLosesNothing uses the ID that a stream
// begins with.
func TestReaderThatDropsBeforeTheFirstMessageLosesNothing(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		s.publish("old", "a")
		r := s.get("?topic=a")
		r.want(s.id(1) + ": ")
		last := r.events.Decoder.LastEventID()
		r.drop()
		s.publish("missed", "a")
		r = s.get("?topic=a", from(last))
		r.want(s.id(1)+": ", s.id(2)+": missed")
	})
}

func TestFirstBytesStateTheReconnectionTime(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		o := hub.Options{}
		o.Stream.Retry = 5e9
		s := serve(t, kind, o, nil)
		r := s.get("?topic=a")
		e := r.next()
		if ms := e.Retry.Milliseconds(); ms < 4000 || ms > 6000 || e.ID != s.id(0) || e.Data != nil {
			t.Errorf("the first event is %+v, want a reconnection time of 4 s to 6 s, the ID of the position, and no data", e)
		}
	})
}

// A gapCase is a resume point that cannot be honoured, in a log whose topic a has
// the messages 1 to 12, of which 8 to 12 are kept.
type gapCase struct {
	name, id, reason string
	diff             int // under policy diff: what the notice says the stream goes on from
}

var gapCases = []gapCase{
	{"expired", "<epoch>-3", "expired", 7},
	{"just expired", "<epoch>-6", "expired", 7},
	{"before all", "<epoch>-0", "expired", 7},
	{"another log", "abcdefgh-9", "foreign", 7},
	{"future", "<epoch>-17", "future", 7},
	{"far future", "<epoch>-18446744073709551615", "future", 7},
	{"unknown", "never \u00e9 issued", "unknown", 7},
	{"of a trimmed message", "gone", "unknown", 7},
	{"of a message in another topic", "other", "unknown", 7},
	{"of two messages", "twice", "ambiguous", 10},
}

// wireID returns the ID on the wire of the message at a position, in the log of
// gapCases.
func wireID(s *server, seq int) string {
	switch seq {
	case 3:
		return "gone"
	case 9:
		return "own"
	case 10, 12:
		return "twice"
	}
	return s.id(seq)
}

// fillGapLog publishes what gapCases describes.
func fillGapLog(s *server) {
	for seq := 1; seq <= 12; seq++ {
		m := hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, seq)}
		if id := wireID(s, seq); id != s.id(seq) {
			m.ID = id
		}
		publish(s.t, s.hub, m)
	}
	publish(s.t, s.hub, hub.Message{Topics: []string{"b"}, ID: "other", Data: []byte("b")})
	for range 3 { // so that ID and position of messages differ from those in a
		s.publish("b", "b")
	}
}

// TestGapNotices checks the first bytes of a stream for each reason and policy,
// and that the stream goes on from the ID of the notice: also for a reader that
// comes back with it.
func TestGapNotices(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		for _, policy := range []hub.Policy{hub.Diff, hub.All, hub.Reset} {
			s := serve(t, kind, hub.Options{History: keep(5), Policy: policy}, nil)
			fillGapLog(s)
			for _, c := range gapCases {
				t.Run(fmt.Sprintf("policy=%v/%s", policy, c.name), func(t *testing.T) { testGap(s.with(t), policy, c) })
			}
		}
	})
}

func testGap(s *server, policy hub.Policy, c gapCase) {
	const head = 16
	after := c.diff
	switch policy {
	case hub.All:
		after = 7
	case hub.Reset:
		after = head
	}
	id := strings.ReplaceAll(c.id, "<epoch>", s.hub.Log().Epoch())
	gap := gapEvent(s.id(after), hub.Gap{Reason: c.reason, Requested: id, Oldest: s.id(8), Newest: s.id(12), Policy: policy.String()})
	var messages string
	for seq := after + 1; seq <= 12; seq++ {
		messages += fmt.Sprintf("id: %s\ndata: %d\n\n", wireID(s, seq), seq)
	}
	r := s.get("?topic=a", from(id))
	r.raw(concat(gap, messages)) // no ID before that of the notice
	again := s.get("?topic=a", from(s.id(after)))
	again.raw(concat("id: "+s.id(after)+"\n\n", messages))
}

// TestHonouredIDsGiveNoNotice has the resume points next to those of gapCases.
func TestHonouredIDsGiveNoNotice(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		for _, policy := range []hub.Policy{hub.Diff, hub.All, hub.Reset} {
			s := serve(t, kind, hub.Options{History: keep(5), Policy: policy}, nil)
			fillGapLog(s)
			for id, after := range map[string]int{s.id(7): 7, s.id(8): 8, "own": 9, s.id(9): 9, s.id(12): 12, s.id(16): 16} {
				r := s.get("?topic=a", from(id))
				want := fmt.Sprintf("id: %s\n\n", s.id(after))
				for seq := after + 1; seq <= 12; seq++ {
					want += fmt.Sprintf("id: %s\ndata: %d\n\n", wireID(s, seq), seq)
				}
				r.raw(want)
				r.drop()
			}
		}
	})
}

// TestGapOfEmptyTopicNamesNoMessages also covers the other wire forms.
func TestGapOfEmptyTopicNamesNoMessages(t *testing.T) {
	for form, want := range map[hub.Form]string{
		hub.Events:   "event: weir.gap\nid: <1>\ndata: {\"reason\":\"unknown\",\"requested\":\"x\",\"policy\":\"diff\"}\n\nid: <2>\ndata: live\n\n",
		hub.Envelope: "event: weir.gap\nid: <1>\ndata: {\"reason\":\"unknown\",\"requested\":\"x\",\"policy\":\"diff\"}\n\nid: <2>\ndata: {\"id\":\"<2>\",\"topic\":\"a\",\"time\":",
		hub.Lines:    "{\"gap\":{\"reason\":\"unknown\",\"requested\":\"x\",\"policy\":\"diff\"}}\n{\"ready\":{\"id\":\"<1>\"}}\n{\"id\":\"<2>\",\"topic\":\"a\",\"time\":",
		hub.Text:     "weir.gap {\"reason\":\"unknown\",\"requested\":\"x\",\"policy\":\"diff\"}\nlive\n",
	} {
		s := serve(t, "taken over", hub.Options{}, func(h *hub.Hub) http.Handler {
			return h.HandlerFor(hub.Subscription{Topics: []string{"a"}, Form: form})
		})
		s.publish("other", "b")
		r := s.get("", from("x"))
		eventually(t, "the reader is live", func() bool { return s.hub.Stats().Readers == 1 && s.hub.Stats().Behind == 0 })
		s.publish("live", "a")
		for seq := range 3 {
			want = strings.ReplaceAll(want, fmt.Sprintf("<%d>", seq), s.id(seq))
		}
		r.raw(want)
	}
}

// TestPublisherChosenIDsAreOnTheWireAndHonoured resumes across messages with and
// without an ID of their own.
func TestPublisherChosenIDsAreOnTheWireAndHonoured(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		var ids []string
		for i := range 6 {
			m := hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, i)}
			if i%2 == 0 {
				m.ID = fmt.Sprintf("order %d/\u00fc", i)
			}
			id := publish(t, s.hub, m)
			if m.ID != "" && id != m.ID || m.ID == "" && id != s.id(i+1) {
				t.Errorf("message %d: Publish returns ID %q", i, id)
			}
			ids = append(ids, id)
		}
		for i := range ids {
			r := s.get("?topic=a", from(ids[i]))
			r.want(s.id(i+1) + ": ")
			for k := i + 1; k < len(ids); k++ {
				r.want(fmt.Sprintf("%s: %d", ids[k], k))
			}
			r.drop()
		}
	})
}

// TestOneCursorForSeveralTopics resumes at each message of a mix of topics.
func TestOneCursorForSeveralTopics(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		topics := []string{"news", "orders/eu", "orders/us/17", "alerts", "orders"}
		for i := range 25 {
			s.publish(fmt.Sprint(i), topics[i%5])
		}
		for _, test := range []struct {
			query string
			match []int // indexes in topics
		}{
			{"?topic=news&topic=alerts", []int{0, 3}},
			{"?topic=orders/*", []int{1}},
			{"?topic=orders/**", []int{1, 2, 4}},
			{"?topic=orders/*&topic=orders/eu&topic=orders/**", []int{1, 2, 4}},
			{"?topic=*", []int{0, 3, 4}},
			{"?topic=**", []int{0, 1, 2, 3, 4}},
			{"?topic=*/us/*&topic=news", []int{0, 2}},
		} {
			for after := 0; after <= 25; after += 3 {
				r := s.get(test.query, from(s.id(after)))
				r.want(s.id(after) + ": ")
				for i := after; i < 25; i++ {
					if slices.Contains(test.match, i%5) {
						r.want(fmt.Sprintf("%s: %d", s.id(i+1), i))
					}
				}
				r.drop()
			}
		}
	})
}

func TestMessageInSeveralFollowedTopicsComesOnce(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		s.publish("early", "a", "b/c", "a", "d")
		r := s.get("?topic=a&topic=b/*&topic=**&since=start")
		r.want(s.id(0)+": ", s.id(1)+": early")
		s.publish("live", "d", "b/c", "a")
		s.publish("end", "a")
		r.want(s.id(2)+": live", s.id(3)+": end")
	})
}

// TestEventsKeepTypeRetryAndLines looks at one full event.
func TestEventsKeepTypeRetryAndLines(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		r := s.get("?topic=a")
		r.want(s.id(0) + ": ")
		publish(t, s.hub, hub.Message{Topics: []string{"a"}, Type: "price", ID: "7", Retry: 3e9, Data: []byte("one\ntwo")})
		e := r.next()
		want := sse.Event{Type: "price", ID: "7", Retry: 3e9, Data: []byte("one\ntwo")}
		if e.Type != want.Type || e.ID != want.ID || e.Retry != want.Retry || string(e.Data) != string(want.Data) {
			t.Errorf("got %+v, want %+v", e, want)
		}
	})
}
