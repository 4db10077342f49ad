// Command weir is a streaming server for Server-Sent Events and chunked HTTP
// streams, with a client for publishing and reading. See package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/weirstream/weir/internal/cli"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; the next one has its usual effect.
	context.AfterFunc(ctx, restore)
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{
		In:      os.Stdin,
		Out:     os.Stdout,
		Err:     os.Stderr,
		Environ: os.Environ(),
		Hangups: hangups,
	}))
}

// hangups listens for the signal that daemons read their settings again at.
func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
