package proxies_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A reader follows a stream.
type reader struct {
	t     *testing.T
	head  chan http.Header // of the answer, when it is there
	lines chan string      // closed when the stream has ended
	leave func()           // ends the request as a closed page does
}

// follow asks for a stream. It does not wait for the answer: some proxies send its
// head together with the first byte of the body, and a stream of plain text begins
// with the first message.
func (r route) follow(t *testing.T, path, accept string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	f := &reader{t: t, head: make(chan http.Header, 1), lines: make(chan string, 1000), leave: cancel}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		f.read(r, req)
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return f
}

// read reads the answer to its end, or until the reader leaves.
func (f *reader) read(r route, req *http.Request) {
	defer close(f.lines)
	resp, err := r.client.Do(req)
	if err != nil {
		if req.Context().Err() == nil {
			f.t.Errorf("follow: %v", err)
		}
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != r.proto {
		f.t.Errorf("GET %s: %s with %s, want 200 with HTTP/%d", req.URL, resp.Status, resp.Proto, r.proto)
	}
	f.head <- resp.Header
	scanner := bufio.NewScanner(resp.Body)
	for scanner.Scan() {
		select {
		case f.lines <- scanner.Text():
		case <-req.Context().Done():
			return
		}
	}
}

// header waits for the head of the answer.
func (f *reader) header() http.Header {
	f.t.Helper()
	select {
	case h := <-f.head:
		return h
	case <-time.After(patience):
		f.t.Fatalf("no answer after %v", patience)
	}
	return nil
}

// await reads on to a line that holds text.
func (f *reader) await(text string, within time.Duration) {
	f.t.Helper()
	late := time.After(within)
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				f.t.Fatalf("the stream ended, want %q", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-late:
			f.t.Fatalf("%q is not there after %v", text, within)
		}
	}
}

// ends waits until the stream has ended.
func (f *reader) ends() {
	f.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-f.lines:
			if !ok {
				return
			}
		case <-late:
			f.t.Fatalf("the stream goes on after %v", patience)
		}
	}
}

// post sends a request with a body and returns the answer.
func (r route) post(t *testing.T, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

var published atomic.Int64 // messages

// publish publishes a message.
func (r route) publish(t *testing.T, topic, data string) {
	t.Helper()
	// A proxy may close a connection as the request is sent. With a key the client may
	// send it again, and it is published once.
	key := strconv.FormatInt(published.Add(1), 10)
	if resp, answer := r.post(t, "/v1/topics/"+topic, data, "Idempotency-Key", key); resp.StatusCode/100 != 2 {
		t.Fatalf("publish to %s: %s %s", topic, resp.Status, answer)
	}
}

// forms are the media types of streams.
var forms = []string{"text/event-stream", "application/x-ndjson", "text/plain"}

func TestEventThatNothingFollowsArrivesAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			readers := []*reader{
				r.follow(t, "/v1/topics/a", forms[0]),
				r.follow(t, "/v1/topics/a", forms[1]),
				r.follow(t, "/v1/topics/a?since=start", forms[2]), // it does not say when it is there
			}
			readers[0].await("id: ", soon)
			readers[1].await(`{"ready":`, soon)
			for i := range 3 {
				data := fmt.Sprintf("%s %d", r.name, i)
				r.publish(t, "a", data)
				for _, f := range readers {
					f.await(data, soon)
				}
			}
		})
	})
}

// TestEventsAreNotDelayed would see what waits for a packet to be full: it is 40 or 200 ms
// late each time. Some rounds are slow because the machine is busy.
func TestEventsAreNotDelayed(t *testing.T) {
	const rounds, quick, most = 20, 5, 30 * time.Millisecond
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			f := r.follow(t, "/v1/topics/a", "text/event-stream")
			f.await("id: ", soon)
			var took []time.Duration
			for i := range rounds {
				begin, data := time.Now(), fmt.Sprintf("%s %d.", r.name, i)
				r.publish(t, "a", data)
				f.await(data, soon)
				took = append(took, time.Since(begin))
			}
			if slices.Sort(took); took[quick-1] > most {
				t.Errorf("%d events, one after the other, took %v; want %d of them within %v", rounds, took, quick, most)
			}
		})
	})
}

func TestSlowReaderIsNotHiddenFromServer(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		awaitBehind(t, s, k.inFront(t, s.addr))
	})
}

// TestNginxObeysTheHeader shows that weir's X-Accel-Buffering does what the line in the
// file does.
func TestNginxObeysTheHeader(t *testing.T) {
	t.Parallel()
	s := serve(t)
	awaitBehind(t, s, kinds["nginx"].inFront(t, s.addr, "proxy_buffering off;", "# proxy_buffering off;"))
}

// awaitBehind opens a stream that nobody reads and publishes until the server has noticed.
func awaitBehind(t *testing.T, s *weir, p *proxy) {
	t.Helper()
	addr := strings.TrimPrefix(p.plain, "http://")
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /v1/topics/a HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", addr)
	s.awaitConnections(1)
	direct := route{url: s.url, client: http.DefaultClient}
	const most = 64
	half := strings.Repeat("x", 1<<19)
	for range most {
		if s.gauge("weir_readers_behind") == 1 {
			return
		}
		direct.publish(t, "a", half)
	}
	t.Errorf("the proxy takes %d MiB for a client that reads nothing", most/2)
}

func TestStreamsAreNotCompressedAndPagesAre(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			r.publish(t, "a", "x")
			if got := r.follow(t, "/", "text/html").header().Get("Content-Encoding"); got != "gzip" {
				t.Errorf("the page has Content-Encoding %q, want gzip", got)
			}
			for _, form := range forms {
				f := r.follow(t, "/v1/topics/a?since=start", form)
				if got := f.header().Get("Content-Encoding"); got != "" {
					t.Errorf("a stream of %s has Content-Encoding %q", form, got)
				}
			}
		})
	})
}

func TestSilentStreamLivesByItsHeartbeats(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t, "--stream.heartbeat", "1s")
		var readers []*reader
		routes := k.inFront(t, s.addr, k.timeout("3")...).routes(t)
		for _, r := range routes {
			for _, form := range forms[:2] { // plain text has no heartbeats
				readers = append(readers, r.follow(t, "/v1/topics/a", form))
			}
		}
		for _, f := range readers {
			f.header()
		}
		<-time.After(5 * time.Second) // longer than the proxy's timeout
		routes[0].publish(t, "a", "after the silence")
		for _, f := range readers {
			f.await("after the silence", soon)
		}
	})
}

// TestProxyCutsStreamWithoutHeartbeats shows that the timeout in the configuration is
// the one that counts.
func TestProxyCutsStreamWithoutHeartbeats(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t, "--stream.heartbeat", "0")
		for _, r := range k.inFront(t, s.addr, k.timeout("1")...).routes(t) {
			r.follow(t, "/v1/topics/a", "text/event-stream").ends()
		}
		s.awaitConnections(0)
	})
}

// timeout returns the replacement that makes all timeouts of a proxy so many seconds.
func (k kind) timeout(seconds string) []string {
	if k.program == "apache2" {
		return []string{"timeout=60", "timeout=" + seconds}
	}
	return []string{"60s", seconds + "s"}
}

func TestProxyTellsServerThatClientIsGone(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t, "--stream.heartbeat", "3s")
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			f := r.follow(t, "/v1/topics/a", "text/event-stream")
			s.awaitConnections(1)
			f.leave()
			left := time.Now()
			s.awaitConnections(0)
			if took := time.Since(left); r.proto > k.blind && took > 2*time.Second {
				t.Errorf("it took %v, until the heartbeat", took)
			}
		})
	})
}

func TestStreamsShareAnHTTP2Connection(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		r := k.inFront(t, s.addr).routes(t)[1]
		dials := countDials(r.client.Transport.(*http.Transport))
		r.publish(t, "a", "x") // or all would open connections at once, not knowing of HTTP/2
		var readers []*reader
		for i := range 12 {
			readers = append(readers, r.follow(t, fmt.Sprint("/v1/topics/a", i), "text/event-stream"))
		}
		s.awaitConnections(12)
		for i, f := range readers {
			data := fmt.Sprint("data of ", i)
			r.publish(t, fmt.Sprint("a", i), data)
			f.await(data, soon)
		}
		if got := dials.Load(); got != 1 && !k.http1 {
			t.Errorf("%d connections, want 1", got)
		}
	})
}
