package feeds_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed/feedtest"
)

// A promise is what a program sends: so many messages, to so many topics, each of which
// is like an expression when written as "topic type data".
type promise struct {
	messages, topics int
	like             string
}

// follow opens a stream, runs send, and reads until what is promised has arrived. It fails
// the test if something else arrives.
func follow(t *testing.T, url string, send func(), want promise) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := open(ctx, t, url)
	send()
	defer time.AfterFunc(feedtest.Patience, cancel).Stop()
	topics, like := make(map[string]bool), regexp.MustCompile("^"+want.like+"$")
	for n := 0; n < want.messages; n++ {
		m, err := next(lines)
		if err != nil {
			t.Fatalf("%s: %d messages, want %d: %v", url, n, want.messages, err)
		}
		if text := m.Topic + " " + m.Type + " " + m.Data; !like.MatchString(text) {
			t.Fatalf("%s: message %d is %q, want what is like %q", url, n+1, text, like)
		}
		topics[m.Topic] = true
	}
	if len(topics) != want.topics {
		t.Errorf("%s: %d topics, want %d: %v", url, len(topics), want.topics, topics)
	}
}

// open asks for a stream, and waits until it begins. It ends with the context.
func open(ctx context.Context, t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, resp.Status)
	}
	return bufio.NewScanner(resp.Body)
}

// A message is a line of a stream.
type message struct{ Topic, Type, Data string }

// next returns the next message. Nothing but the word that the stream is ready, and signs
// of life, may stand before it.
func next(lines *bufio.Scanner) (message, error) {
	for lines.Scan() {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, `{"ready":`) {
			var m message
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Topic == "" {
				return m, fmt.Errorf("%s: %v", line, err)
			}
			return m, nil
		}
	}
	return message{}, fmt.Errorf("the stream has ended: %v", lines.Err())
}
