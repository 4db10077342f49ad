// Command event-stream sends the date every two seconds to pages of any origin, and "ok" to those who want no events.
// Try it: go run ./event-stream, then open http://127.0.0.1:8288/page.html (or the file page.html itself)
package main

import (
	_ "embed"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

//go:embed page.html
var page string

func main() {
	events := stream.Options{AllowOrigins: []string{"*"}, Otherwise: text("ok")}.SSE(everyTwoSeconds)
	http.Handle("/", events)
	http.Handle("/page.html", text(page))
	serve.HTTP("127.0.0.1:8288", http.DefaultServeMux)
}

func everyTwoSeconds(c *stream.Conn, r *http.Request) {
	c.Every(2*time.Second, func() {
		now := time.Now()
		c.Send(sse.Event{
			Type: "message",
			Data: now.AppendFormat([]byte("服务器时间 "), time.DateTime),
			ID:   strconv.FormatInt(now.UnixMilli(), 10), // in seconds it would soon occur twice
		})
	})
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) })
}
