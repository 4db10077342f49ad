package dashboard

import (
	"fmt"
	"net/http"
	"time"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// timeDemo sends the server's time each second, with a counter that belongs to
// the connection: whoever comes back begins at 1 again.
func timeDemo(o stream.Options) http.Handler {
	return o.SSE(func(c *stream.Conn, r *http.Request) {
		counter := 0
		c.Every(time.Second, func() {
			counter++
			// A tick that a stuck client has no room for is left out.
			_ = c.Send(sse.Text(fmt.Sprintf("Server time: %s, Counter: %d", time.Now().Format(time.TimeOnly), counter)))
		})
	})
}

// chunksDemo sends a page in pieces, then ends it.
func chunksDemo(o stream.Options) http.Handler {
	const pieces = 10
	return o.Chunked("text/html", func(c *stream.Conn, r *http.Request) {
		_, _ = c.WriteString(fmt.Sprintf("weir: %d pieces<br>", pieces))
		sent := 0
		c.Every(2*time.Second, func() {
			sent++
			_, _ = c.WriteString(fmt.Sprintf("Piece %d of %d<br>", sent, pieces))
			if sent == pieces {
				_ = c.End()
			}
		})
	})
}
