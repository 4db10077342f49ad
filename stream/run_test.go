package stream_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/stream"
)

// TestServeReturnsAfterStreamsHaveEnded cancels Serve while a client has a stream
// whose last bytes it has not read yet.
func TestServeReturnsAfterStreamsHaveEnded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := stream.NewEngine(1)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- stream.Serve(ctx, ln, stream.Options{Engine: engine}.SSE(func(*stream.Conn, *http.Request) {}))
	}()
	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	line(t, body)
	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Fatalf("Serve: %v, want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve did not return within 10 s")
	}
	if n := engine.Len(); n != 0 {
		t.Errorf("%d streams are open after Serve returned", n)
	}
	rest, err := io.ReadAll(body)
	if err != nil || !strings.Contains(string(rest), "retry: ") {
		t.Errorf("the stream ended with %q, %v; want a retry line and a clean end", rest, err)
	}
}
