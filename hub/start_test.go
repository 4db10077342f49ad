package hub_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// TestStartByTimeAndCount runs in virtual time: messages 1 to 5 were published
// 4, 3, 2, 1 and 0 hours ago.
func TestStartByTimeAndCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := hub.New(hub.Options{Stream: stream.Options{Engine: stream.NewEngine(1)}})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		client := memory(t, h.Handler())
		for i := range 5 {
			if i > 0 {
				time.Sleep(time.Hour)
			}
			publish(t, h, hub.Message{Topics: []string{"a"}, Data: fmt.Append(nil, i+1)})
		}
		now := time.Now()
		for query, first := range map[string]int{ // the first message to come
			"":                 6,
			"since=now":        6,
			"since=start":      1,
			"since=0s":         5,
			"since=59m":        5,
			"since=1h":         4,
			"since=1h0m1s":     4,
			"since=2h":         3,
			"since=1000h":      1,
			"last=0":           6,
			"last=1":           5,
			"last=3":           3,
			"last=5":           1,
			"last=1000000":     1,
			"since=1h&last=10": 4, // since wins
			"since=" + url.QueryEscape(now.Add(-2*time.Hour).Format(time.RFC3339Nano)):                            3,
			"since=" + url.QueryEscape(now.Add(-2*time.Hour+1).Format(time.RFC3339Nano)):                          4,
			"since=" + url.QueryEscape(now.Add(-3*time.Hour).In(time.FixedZone("", 5*3600)).Format(time.RFC3339)): 2,
			"since=" + url.QueryEscape(now.Add(time.Hour).Format(time.RFC3339)):                                   6,
			"since=1969-07-20T20:17:40Z": 1,
		} {
			resp, err := client.Get("http://memory/?topic=a&" + query)
			if err != nil {
				t.Fatal(err)
			}
			events := sse.NewReader(resp.Body)
			ready, err := events.Next()
			if want := fmt.Sprintf("%s-%d", h.Log().Epoch(), first-1); err != nil || ready.ID != want {
				t.Errorf("%q starts at %q, %v; want %q", query, ready.ID, err, want)
			}
			for want := first; want <= 5; want++ {
				if e, err := events.Next(); err != nil || string(e.Data) != fmt.Sprint(want) {
					t.Fatalf("%q: got %q, %v; want %d", query, e.Data, err, want)
				}
			}
			resp.Body.Close()
		}
	})
}

func TestBadStartIsRefused(t *testing.T) {
	s := serve(t, "taken over", hub.Options{}, nil)
	for _, query := range []string{
		"since=", "since=yesterday", "since=-5m", "since=2024-01-01", "since=10",
		"last=", "last=-1", "last=1000001", "last=x", "last=99999999999999999999",
	} {
		resp, err := s.http.Client().Get(s.http.URL + "/?topic=a&" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		name, value, _ := strings.Cut(query, "=")
		if resp.StatusCode != 400 || !strings.Contains(string(body), fmt.Sprintf("%s is %q", name, value)) {
			t.Errorf("%q: %d %q, want 400 with the value", query, resp.StatusCode, body)
		}
	}
}

func TestBadSubscriptionIsRefused(t *testing.T) {
	s := serve(t, "taken over", hub.Options{MaxTopics: 3}, nil)
	for query, want := range map[string]string{
		"":                                   "0 topics, from 1 to 3",
		"?topic=a&topic=b&topic=c&topic=d":   "4 topics, from 1 to 3",
		"?topic=":                            `""`,
		"?topic=a//b":                        `"a//b"`,
		"?topic=a&topic=**/b":                `"**/b"`,
		"?topic=" + strings.Repeat("x", 256): "256 bytes, limit 255",
		"?topic=a%0ab":                       `"a\nb"`,
	} {
		resp, err := s.http.Client().Get(s.http.URL + "/" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) || !strings.Contains(string(body), "bad pattern") {
			t.Errorf("%q: %d %q, want 400 with %q", query, resp.StatusCode, body, want)
		}
	}
	if n := s.hub.Stats().Readers; n != 0 {
		t.Errorf("%d readers", n)
	}
}

// TestLossBeforeTheStartIsNoNews holds for all starts but an ID.
func TestLossBeforeTheStartIsNoNews(t *testing.T) {
	s := serve(t, "taken over", hub.Options{History: keep(3)}, nil)
	for i := range 10 {
		s.publish(fmt.Sprint(i+1), "a")
		s.publish("b", "b")
	}
	for query, first := range map[string]int{"since=start": 8, "last=50": 8, "since=10h": 8, "last=2": 9, "last=0": 11, "": 11} {
		r := s.get("?topic=a&" + query)
		if e := r.next(); e.ID == "" || e.Data != nil {
			t.Errorf("%q: the first event is %+v, want the ID of the position", query, e)
		}
		for want := first; want <= 10; want++ {
			if e := r.next(); string(e.Data) != fmt.Sprint(want) {
				t.Fatalf("%q: got %q, want %d", query, e.Data, want)
			}
		}
		r.drop()
	}
}

// TestMessagesAreNeitherLostNorDoubledWhileReadersStart has readers start while
// messages are published: what each gets is complete from its first message on.
func TestMessagesAreNeitherLostNorDoubledWhileReadersStart(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		const readers, messages = 20, 300
		s := serve(t, kind, hub.Options{}, nil)
		done := make(chan error, readers)
		for i := range readers {
			go func() { done <- s.readAll([]string{"", "since=start", "last=20", "since=1h"}[i%4], messages) }()
		}
		for i := range messages {
			s.publish(fmt.Sprint(i), "a")
		}
		eventually(t, "all readers are there", func() bool { return s.hub.Stats().Readers == readers })
		s.publish("end", "a")
		for range readers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// readAll reads until the message "end" and reports if a message does not follow
// the one before.
func (s *server) readAll(query string, messages int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.http.URL+"/?topic=a&"+query, nil)
	if err != nil {
		return err
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	events := sse.NewReader(resp.Body)
	next := -1
	for {
		e, err := events.Next()
		var n int
		switch {
		case err != nil:
			return err
		case e.Data == nil:
			continue
		case string(e.Data) == "end" && (next == messages || next < 0):
			return nil
		}
		if _, err := fmt.Sscan(string(e.Data), &n); err != nil || e.Type != "" || next >= 0 && n != next {
			return fmt.Errorf("start %q: got %q of type %q, want %d", query, e.Data, e.Type, next)
		}
		next = n + 1
	}
}
