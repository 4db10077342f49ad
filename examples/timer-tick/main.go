// Command timer-tick sends the server's time and a counter each second; each client has a counter of its own.
// Try it: go run ./timer-tick, then curl -N localhost:9501
package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

func main() {
	serve.HTTP("127.0.0.1:9501", stream.SSE(func(c *stream.Conn, r *http.Request) {
		counter := 0
		c.Every(1000*time.Millisecond, func() {
			counter++
			data := fmt.Sprintf("Server time: %s, Counter: %d", time.Now().Format(time.TimeOnly), counter)
			c.Send(sse.Text(data))
		})
	}))
}
