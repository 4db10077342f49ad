// Command r3labs is a small server on github.com/r3labs/sse, with its defaults, which keep
// all messages: GET and POST /?stream={topic}.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"

	"github.com/r3labs/sse/v2"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	flag.Parse()
	s := sse.New()
	s.AutoStream = true
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			s.ServeHTTP(w, r)
			return
		}
		data, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Publish(r.URL.Query().Get("stream"), &sse.Event{Data: data})
		w.WriteHeader(http.StatusNoContent)
	})))
}
