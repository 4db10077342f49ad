package durable_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/durable"
)

// A bubble serves the streams of a hub in virtual time: requests are calls.
type bubble struct {
	t       *testing.T
	hub     *hub.Hub
	durable *durable.Handler
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, err := hub.New(hub.Options{MaxBytes: maxBytes})
		if err != nil {
			t.Fatal(err)
		}
		b := &bubble{t: t, hub: h}
		b.start()
		defer h.Close()
		defer func() { b.durable.Close() }()
		test(b)
	})
}

func (b *bubble) start() {
	b.durable = durable.New(b.hub, options())
	b.durable.Start()
}

// restart ends the adapter and starts another one of the same hub.
func (b *bubble) restart() {
	b.durable.Close()
	b.start()
}

func (b *bubble) do(method, target, body string, header ...string) answer {
	r := httptest.NewRequest(method, "http://weir.test"+prefix+target, strings.NewReader(body))
	setHeader(r, header)
	w := httptest.NewRecorder()
	b.durable.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return answer{resp, w.Body.String()}
}

// later sends a request that waits for something, and waits until it does.
func (b *bubble) later(method, target string) (wait func() answer) {
	done := make(chan answer, 1)
	go func() { done <- b.do(method, target, "") }()
	synctest.Wait()
	return func() answer { return <-done }
}

func (b *bubble) publish(topic, data string) {
	b.t.Helper()
	if _, err := b.hub.Publish(context.Background(), hub.Message{Topics: []string{topic}, Data: []byte(data)}); err != nil {
		b.t.Fatal(err)
	}
}

// want fails the test unless an answer has the status.
func (b *bubble) want(a answer, status int) answer {
	b.t.Helper()
	if a.StatusCode != status {
		b.t.Fatalf("%s %s: %v, want %d %s", a.Request.Method, a.Request.URL, a, status, http.StatusText(status))
	}
	return a
}
