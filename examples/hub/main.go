// Command hub has topics: who posts to one reaches everybody who follows it.
// Try it: go run ./hub, then open http://127.0.0.1:8084, curl -N 'localhost:8084/events?topic=news/*', curl -d topic=news/eu -d data=hello localhost:8084/publish
package main

import (
	_ "embed"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/hub"
)

//go:embed page.html
var page string

func main() {
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /events", h.Handler())
	http.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		id, err := h.Publish(r.Context(), hub.Message{
			Topics: []string{r.FormValue("topic")},
			Data:   []byte(r.FormValue("data")),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, id)
	})
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page) })
	serve.HTTP("127.0.0.1:8084", http.DefaultServeMux)
}
