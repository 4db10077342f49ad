package durable_test

import (
	"fmt"
	"sync"
	"testing"
)

// by is the headers of a producer, after those of content.
func by(id string, epoch, seq any) []string {
	return []string{text, "Producer-Id: " + id, fmt.Sprint("Producer-Epoch: ", epoch), fmt.Sprint("Producer-Seq: ", seq)}
}

// TestProducersAreDeduplicated sends one request after the other, across restarts.
func TestProducersAreDeduplicated(t *testing.T) {
	s := serve(t)
	s.create("a")
	type headers = map[string]string
	for i, c := range []struct {
		header []string
		want   string
		says   headers
	}{
		{by("p", 0, 0), "200", headers{"Producer-Epoch": "0", "Producer-Seq": "0"}},
		{by("p", 0, 0), "204", headers{"Producer-Epoch": "0", "Producer-Seq": "0"}},
		{by("p", 0, 1), "200", headers{"Producer-Seq": "1"}},
		{by("p", 0, 3), "409 producer_seq", headers{"Producer-Expected-Seq": "2", "Producer-Received-Seq": "3"}},
		{by("p", 0, 0), "204", headers{"Producer-Seq": "1"}},
		{by("p", 1, 1), "400 bad_producer", nil},
		{by("q", 0, 0), "200", headers{"Producer-Seq": "0"}},
		{by("p", 1, 0), "200", headers{"Producer-Epoch": "1", "Producer-Seq": "0"}},
		{by("p", 0, 2), "403 stale_epoch", headers{"Producer-Epoch": "1", "Producer-Seq": ""}},
		{by("r", 5, 1), "409 producer_seq", headers{"Producer-Expected-Seq": "0"}},
		{by("r", 5, 0), "200", nil},
		{by("p", 1, int64(1)<<53), "400 bad_producer", nil},
		{by("p", 1, "01"), "400 bad_producer", nil},
		{by("p", 1, ""), "400 bad_producer", nil},
		{by("", 1, 1), "400 bad_producer", nil},
		{by(fmt.Sprintf("%0256d", 1), 1, 1), "400 bad_producer", nil},
		{by("p", 1, 1)[:3], "400 bad_producer", nil},
		{append(by("p", 1, 1), "Producer-Id: q"), "400 bad_producer", nil},
		{append(by("p", 1, 1), "Stream-Seq: 1"), "200", nil},
		{append(by("p", 1, 1), "Stream-Seq: 1"), "204", nil},
		{append(by("p", 1, 2), "Stream-Seq: 1"), "409 stream_seq", headers{"Producer-Seq": ""}},
		{append(by("p", 1, 2), "Stream-Seq: 2"), "200", nil},
	} {
		if i%4 == 3 {
			s = s.restart()
		}
		a := s.want(s.do("POST", "a", fmt.Sprint(i, ","), c.header...), c.want)
		for name, want := range c.says {
			if got := a.Header.Get(name); got != want {
				t.Errorf("request %d, %q: %s is %q, want %q", i, c.header, name, got, want)
			}
		}
	}
	s.read("a", "0,2,6,7,10,18,21,")
}

// TestClosingIsDeduplicated closes streams with producers, across restarts.
func TestClosingIsDeduplicated(t *testing.T) {
	s := serve(t)
	closing := func(id string, epoch, seq int) []string { return append(by(id, epoch, seq), "Stream-Closed: true") }
	for _, body := range []string{"", "x"} {
		name, first := "a"+body, "204"
		if body != "" {
			first = "200"
		}
		s.create(name)
		s.want(s.do("POST", name, "1", by("p", 0, 0)...), "200")
		s.want(s.do("POST", name, body, closing("p", 0, 1)...), first)
		s = s.restart()
		for _, c := range []struct {
			body   string
			header []string
			want   string
		}{
			{body, closing("p", 0, 1), "204"},
			{"other", closing("p", 0, 1), "204"},
			{"", []string{"Stream-Closed: true"}, "204"},
			{body, closing("p", 0, 2), "409 closed"},
			{body, closing("q", 0, 1), "409 closed"},
			{"x", by("p", 0, 0), "409 closed"},
			{"x", []string{text}, "409 closed"},
		} {
			a := s.want(s.do("POST", name, c.body, c.header...), c.want)
			if a.Header.Get("Stream-Closed") != "true" || a.next() == "" {
				t.Errorf("POST %q %q: %v", c.body, c.header, a)
			}
		}
		s.read(name, "1"+body)
	}
}

// TestTheQuietestProducerMakesRoom has one more than a stream remembers.
func TestTheQuietestProducerMakesRoom(t *testing.T) {
	const limit = 1000
	s := serve(t)
	s.create("a")
	for i := range limit {
		s.want(s.do("POST", "a", ".", by(fmt.Sprint("p", i), 0, 0)...), "200")
	}
	s.want(s.do("POST", "a", ".", by("p0", 0, 1)...), "200") // so that p1 is the quietest
	s.want(s.do("POST", "a", ".", by("new", 0, 0)...), "200")
	s.want(s.do("POST", "a", ".", by("p0", 0, 2)...), "200")
	s.want(s.do("POST", "a", ".", by("p2", 0, 1)...), "200")
	s.want(s.do("POST", "a", ".", by("p1", 0, 1)...), "409 producer_seq") // no longer known
	s.want(s.do("DELETE", "a", ""), "204")
	for key := range s.hub.Log().Values("ds") {
		t.Errorf("the deleted stream has left %q", key)
	}
}

// TestOneOfManyWins sends the same from many at once.
func TestOneOfManyWins(t *testing.T) {
	const writers = 20
	s := serve(t)
	s.create("a")
	for _, header := range [][]string{{text, "Stream-Seq: 1"}, by("p", 0, 0)} {
		var mu sync.Mutex
		counts := map[int]int{}
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				a, err := s.try("POST", "a", "x", header...)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				counts[a.StatusCode]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if counts[204]+counts[409] != writers && counts[200] != 1 || counts[409] > 0 && counts[204] != 1 {
			t.Errorf("%q: %v", header, counts)
		}
	}
	s.read("a", "xx")
}
