// Command loop-handler is the plain way: a handler that loops and sleeps, which delays nobody else, until its client has gone.
// Try it: go run ./loop-handler, then curl -N localhost:8082 and interrupt curl
package main

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

func main() {
	serve.HTTP("127.0.0.1:8082", stream.SSE(func(c *stream.Conn, r *http.Request) {
		for counter := 1; ; counter++ {
			c.Send(sse.Text(fmt.Sprintf("Server time: %s, Counter: %d", time.Now().Format(time.TimeOnly), counter)))
			select {
			case <-time.After(time.Second): // sleep(1), but woken when the client goes
			case <-r.Context().Done():
				log.Printf("%v is gone after %d messages: %v", c.RemoteAddr(), counter, c.Reason())
				return
			}
		}
	}))
}
