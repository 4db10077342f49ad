// Command chunk-stream sends a page in ten pieces, one every two seconds, and then ends it.
// Try it: go run ./chunk-stream, then open http://127.0.0.1:8289 or curl -N localhost:8289
package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/stream"
)

const total = 10

func main() {
	options := stream.Options{AllowOrigins: []string{"*"}}
	serve.HTTP("127.0.0.1:8289", options.Chunked("text/html", pieces))
}

func pieces(c *stream.Conn, r *http.Request) {
	fmt.Fprintf(c, "%d pieces follow<br>", total)
	count := 0 // of this client alone
	c.Every(2*time.Second, func() {
		count++
		fmt.Fprintf(c, "piece %d of %d<br>", count, total)
		if count == total {
			c.End() // the timer ends with the stream
		}
	})
}
