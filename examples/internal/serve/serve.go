// Package serve is what the examples share: [HTTP] listens where the flag -listen
// says, prints the URL, serves until an interrupt and then stops cleanly. A
// program of your own calls stream.Run, or stream.Stop for a server of its own.
package serve

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/weirstream/weir/stream"
)

// HTTP parses the flags, serves h until SIGINT or SIGTERM, and returns when no call
// of h is running any more. address is the default of -listen; port 0 stands for
// a free one. It ends the program if it cannot listen.
func HTTP(address string, h http.Handler) {
	listen := flag.String("listen", address, "host:port to listen on")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", ln.Addr())
	var running sync.WaitGroup
	err = stream.Serve(context.Background(), ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		h.ServeHTTP(w, r)
	}))
	if err != nil {
		log.Fatal(err)
	}
	running.Wait()
}
