package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A publisher publishes messages to a topic, one request after the other, and notes in
// the ledger what was acknowledged. The data of a message is the publisher's name and
// the message's number, from 1: "p 17".
type publisher struct {
	name, topic string
	batch       int           // messages in one request; 1: a plain one, more: JSON lines
	every       time.Duration // between requests
	// careful publishers send a request that failed again, with the same idempotency
	// key. Others go on with the next number.
	careful bool

	server *server
	ledger *ledger
	next   int // number of the next message
}

// run publishes until ctx ends. A request that is under way is finished.
func (p *publisher) run(ctx context.Context) {
	for p.next = 1; ctx.Err() == nil; p.next += p.batch {
		var data []string
		for i := range p.batch {
			data = append(data, fmt.Sprintf("%s %d", p.name, p.next+i))
		}
		for !p.send(data) && ctx.Err() == nil {
			if wait(ctx, 3*time.Millisecond); !p.careful {
				break
			}
		}
		wait(ctx, p.every)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// send reports whether the messages are acknowledged.
func (p *publisher) send(data []string) bool {
	life := p.ledger.now()
	id, fresh, err := p.server.post(p.topic, data, p.key())
	if err != nil {
		p.ledger.unanswered()
		return false
	}
	p.ledger.acknowledged(data, id, life, fresh)
	return true
}

func (p *publisher) key() string {
	if !p.careful {
		return ""
	}
	return fmt.Sprintf("%s-%d", p.name, p.next)
}

// post publishes messages in one request, with an idempotency key if there is one,
// and returns the ID of the last. fresh is whether none of them had been published
// before.
func (s *server) post(topic string, data []string, key string) (id string, fresh bool, err error) {
	resp, body, err := s.do(request(s.url, topic, data), key)
	if err != nil {
		return "", false, err
	}
	var answer struct {
		ID         string
		LastID     string `json:"last_id"`
		Published  int
		Duplicates int
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode/100 != 2 {
		return "", false, fmt.Errorf("publish to %s: status %d, %q, %v", topic, resp.StatusCode, body, err)
	}
	if len(data) == 1 {
		return answer.ID, resp.Header.Get("Idempotency-Replayed") != "true", nil
	}
	if answer.Published != len(data) {
		return "", false, fmt.Errorf("publish to %s: %d of %d lines are published", topic, answer.Published, len(data))
	}
	return answer.LastID, answer.Duplicates == 0, nil
}

// request returns a request that publishes messages, which need no escapes.
func request(url, topic string, data []string) *http.Request {
	path, contentType := "/v1/topics/"+topic, "text/plain"
	var body bytes.Buffer
	if len(data) == 1 {
		body.WriteString(data[0])
	} else {
		path, contentType = "/v1/events", "application/x-ndjson"
		for _, d := range data {
			fmt.Fprintf(&body, `{"topic":"%s","data":"%s"}`+"\n", topic, d)
		}
	}
	req, err := http.NewRequest(http.MethodPost, url+path, &body)
	if err != nil {
		panic(err) // the topics of these tests are good
	}
	req.Header.Set("Content-Type", contentType)
	return req
}

func (s *server) do(req *http.Request, key string) (*http.Response, []byte, error) {
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// publish publishes messages in one request and returns the ID of the last.
func (s *server) publish(topic string, data ...string) string {
	s.t.Helper()
	id, _, err := s.post(topic, data, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// background runs functions until stop is called, which waits for them.
func background(t *testing.T, fns ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, fn := range fns {
		wg.Go(func() { fn(ctx) })
	}
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// sender returns the publisher's name in the data of a message, and its number.
func sender(data string) (name string, number int) {
	name, digits, _ := strings.Cut(data, " ")
	_, _ = fmt.Sscan(digits, &number)
	return name, number
}
