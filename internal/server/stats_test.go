package server_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// A sample is one message of weir/stats.
type sample struct {
	Time        int64   `json:"time"`
	CPU         float64 `json:"cpu"`
	MemUsed     float64 `json:"mem_used"`
	MemTotal    float64 `json:"mem_total"`
	RSS         float64 `json:"rss"`
	Requests    float64 `json:"requests"`
	Errors      float64 `json:"errors"`
	Connections int     `json:"connections"`
	Published   float64 `json:"published"`
	Delivered   float64 `json:"delivered"`
}

// TestStatsAreWhatHappened makes a known amount of traffic between two figures and
// adds up the rates.
func TestStatsAreWhatHappened(t *testing.T) {
	s := defaults(t)
	s.Page = true
	r := start(t, s)
	feed := r.follow(t, "/v1/topics/weir/stats", "text/plain")
	first := nextSample(t, feed)
	checkSample(t, first)
	for range 3 {
		r.follow(t, "/v1/topics/a", "text/event-stream")
	}
	eventually(t, "four streams are open", func() bool { return r.Streams() == 4 })
	const good, bad = 40, 20
	for range good {
		r.publish(t, "a", "x")
	}
	for range bad {
		r.do(t, "POST", "/v1/topics/a//b", "x")
	}
	var requests, errors, published, delivered float64
	samples, last := 0, first
	for ; requests < good+bad+3-0.5 && samples < 10; samples++ {
		now := nextSample(t, feed)
		checkSample(t, now)
		if now.Connections != 4 {
			t.Errorf("%d connections, want 4", now.Connections)
		}
		seconds := float64(now.Time-last.Time) / 1000
		requests += now.Requests * seconds
		errors += now.Errors * seconds
		published += now.Published * seconds
		delivered += now.Delivered * seconds
		last = now
	}
	// The figures count the stats themselves: one message a second, to one reader.
	n := float64(samples)
	for name, c := range map[string]struct{ got, want float64 }{
		"requests":  {requests, good + bad + 3},
		"errors":    {errors, bad},
		"published": {published, good + n},
		"delivered": {delivered, 3*good + n},
	} {
		if math.Abs(c.got-c.want) > 3 {
			t.Errorf("%s add up to %.1f, want %.0f (give or take 3)", name, c.got, c.want)
		}
	}
}

func nextSample(t *testing.T, feed *reader) (s sample) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(feed.line(t)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkSample holds one figure to what is possible.
func checkSample(t *testing.T, s sample) {
	t.Helper()
	if age := time.Since(time.UnixMilli(s.Time)); age < -time.Second || age > 5*time.Second {
		t.Errorf("time is %v ago", age)
	}
	if s.CPU < 0 || s.CPU > 100 || s.RSS < 1<<20 || s.RSS > 1<<34 || s.MemTotal > 0 && (s.MemUsed <= 0 || s.MemUsed >= s.MemTotal) {
		t.Errorf("impossible figures: %+v", s)
	}
	if slices.Min([]float64{s.Requests, s.Errors, s.Published, s.Delivered}) < 0 {
		t.Errorf("a rate is below zero: %+v", s)
	}
}

// TestClientsDoNotPublishStats tries to.
func TestClientsDoNotPublishStats(t *testing.T) {
	r := start(t, defaults(t))
	for _, path := range []string{"/v1/topics/weir/stats", "/v1/topics/weir%2Fstats"} {
		if resp, body := r.do(t, "POST", path, "{}"); resp.StatusCode != 400 || !strings.Contains(body, `"code":"bad_topic"`) {
			t.Errorf("POST %s: %s %s", path, resp.Status, body)
		}
	}
}
