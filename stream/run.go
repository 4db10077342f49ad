package stream

import (
	"context"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

// stopTimeout bounds how long Run waits for streams and requests to end.
const stopTimeout = 10 * time.Second

// Run serves h on addr ("127.0.0.1:8080") until ctx ends or the program is told
// to stop by SIGINT or SIGTERM, and then as [Stop] does, for at most 10 s. It
// returns nil after an orderly end.
func Run(ctx context.Context, addr string, h http.Handler) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return Serve(ctx, ln, h)
}

// Serve is like [Run] with a listener, which it closes.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }() // ends with Stop
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, done := context.WithTimeout(context.Background(), stopTimeout)
	defer done()
	return Stop(stopping, srv)
}
