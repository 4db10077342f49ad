// Command workerman-sse sends "hello" every two seconds to those who ask for events, and "ok" to others.
// Try it: go run ./workerman-sse, then curl -N -H 'Accept: text/event-stream' localhost:8080
package main

import (
	"io"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

func main() {
	worker := stream.Options{Otherwise: http.HandlerFunc(ok)}
	serve.HTTP("127.0.0.1:8080", worker.SSE(func(c *stream.Conn, r *http.Request) {
		// The timer stops with the stream.
		c.Every(2*time.Second, func() {
			c.Send(sse.Event{Type: "message", Data: []byte("hello")})
		})
	}))
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }
