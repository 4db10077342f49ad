// Command controller is a page made from a template and the stream that it shows, as two methods of one type.
// Try it: go run ./controller, then open http://127.0.0.1:8787/stream/client
package main

import (
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

//go:embed client.html
var clientHTML string

var client = template.Must(template.New("stream/client").Parse(clientHTML))

// serverPath is where the stream is; the page gets it from here, too.
const serverPath = "/service/stream"

// A StreamController holds the actions of the routes below.
type StreamController struct{ name string }

// Client is the page.
func (s StreamController) Client(w http.ResponseWriter, r *http.Request) {
	client.Execute(w, map[string]string{"Name": s.name, "Server": serverPath})
}

// Server returns at once, its stream lives on.
func (s StreamController) Server(c *stream.Conn, r *http.Request) {
	c.Every(time.Second, func() {
		c.Send(sse.Text(time.Now().Format(time.DateTime) + " 来自服务器"))
	})
}

func main() {
	controller := StreamController{name: "weir"}
	http.HandleFunc("GET /stream/client", controller.Client)
	http.Handle("GET "+serverPath, stream.SSE(controller.Server))
	http.Handle("GET /{$}", http.RedirectHandler("/stream/client", http.StatusFound))
	serve.HTTP("127.0.0.1:8787", http.DefaultServeMux)
}
