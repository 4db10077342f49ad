// Command gosse is a small server on github.com/tmaxmax/go-sse, with a history of a
// thousand messages: GET and POST /{topic}.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"

	"github.com/tmaxmax/go-sse"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	flag.Parse()
	replayer, err := sse.NewFiniteReplayer(1000, true)
	if err != nil {
		log.Fatal(err)
	}
	s := &sse.Server{
		Provider: &sse.Joe{Replayer: replayer},
		OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush() // else the head waits for the first message
			return []string{r.URL.Path}, true
		},
	}
	publish := func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		m := new(sse.Message)
		m.AppendData(string(data))
		if err := s.Publish(m, r.URL.Path); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			publish(w, r)
			return
		}
		s.ServeHTTP(w, r)
	})))
}
