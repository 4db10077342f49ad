// Command resume counts seconds on a topic; who comes back with the last ID it saw gets what it missed, then the live messages.
// Try it: go run ./resume, then curl -N localhost:8083 and again with -H 'Last-Event-ID: <an id it printed>'
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

func main() {
	h, err := hub.New(hub.Options{History: hub.History{Default: hub.Retention{MaxEntries: 5}}})
	if err != nil {
		log.Fatal(err)
	}
	go count(h)
	serve.HTTP("127.0.0.1:8083", stream.SSE(func(c *stream.Conn, r *http.Request) {
		from := hub.FromNow()
		if id := c.LastEventID(); id != "" {
			c.Comment("Resending missed messages")
			from = hub.FromID(id)
		}
		// After an ID that can no longer be honoured the client gets the event "weir.gap", and
		// then, as /?policy=… says, what it missed and is still kept, everything kept, or nothing.
		policy, _ := hub.ParsePolicy(r.URL.Query().Get("policy")) // unknown: diff
		h.Subscribe(c, hub.Subscription{Topics: []string{"counter"}, From: from, Policy: policy})
	}))
}

func count(h *hub.Hub) {
	counter := 0
	for now := range time.Tick(time.Second) {
		counter++
		data := fmt.Appendf(nil, "Server time: %s, Counter: %d", now.Format(time.TimeOnly), counter)
		if _, err := h.Publish(context.Background(), hub.Message{Topics: []string{"counter"}, Data: data}); err != nil {
			log.Fatal(err)
		}
	}
}
