package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
)

// logFeed returns the feed of a new file, whose lines go to the topic logs/app.
func logFeed(t *testing.T) feed.Spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return feed.Spec{Name: "app", File: path, Topic: "logs/app"}
}

// TestFeedsPublish adds lines to a file, over a restart of the server.
func TestFeedsPublish(t *testing.T) {
	s := defaults(t)
	s.Data = t.TempDir()
	s.Feeds = []feed.Spec{logFeed(t)}
	path := s.Feeds[0].File
	add := func(from, to int) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := from; i < to; i++ {
			fmt.Fprintf(f, "line %d\n", i)
		}
	}
	r := start(t, s)
	reader := r.follow(t, "/v1/topics/logs/app", "text/plain")
	eventually(t, "the feed runs", func() bool {
		_, body := r.do(t, "GET", "/metrics", "")
		return strings.Contains(body, `weir_feed_running{feed="app"} 1`)
	})
	add(0, 100)
	for i := range 100 {
		if line := reader.line(t); line != fmt.Sprint("line ", i) {
			t.Fatalf("the reader got %q, want line %d", line, i)
		}
	}
	r.stop(t)
	add(100, 200)
	r = start(t, s)
	reader = r.follow(t, "/v1/topics/logs/app?since=start", "text/plain")
	for i := range 200 {
		if line := reader.line(t); line != fmt.Sprint("line ", i) {
			t.Fatalf("after a restart the reader got %q, want line %d", line, i)
		}
	}
}
