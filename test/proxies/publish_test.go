package proxies_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

func TestLargestMessagePasses(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			r.publish(t, "large", large)
			resp, err := r.client.Get(r.url + "/v1/topics/large?last=1&wait=0s")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(body), large) {
				t.Errorf("what was published does not come back: %s, %d bytes, %v", resp.Status, len(body), err)
			}
			if resp, answer := r.post(t, "/v1/topics/large", large+"1"); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(answer, "too_large") {
				t.Errorf("one byte more: %s, %s, want the answer of weir", resp.Status, answer)
			}
		})
	})
}

func TestLinesAreDeliveredWhileTheRequestGoesOn(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			f := r.follow(t, "/v1/topics/a", "application/x-ndjson")
			f.await(`{"ready":`, soon)
			body, lines := io.Pipe()
			defer lines.Close()
			answer := make(chan string, 1)
			go func() { answer <- r.stream(body) }()
			for _, data := range []string{"first", "second", "third"} {
				if data == "third" {
					<-time.After(1500 * time.Millisecond) // Apache would give the request up
				}
				if _, err := io.WriteString(lines, `{"topic":"a","data":"`+data+`"}`+"\n"); err != nil {
					t.Fatal(err)
				}
				f.await(data, soon)
			}
			lines.Close()
			if got := <-answer; !strings.Contains(got, `"published":3`) {
				t.Errorf("the answer is %s, want 3 published", got)
			}
		})
	})
}

// stream publishes JSON lines and returns the answer, or the error.
func (r route) stream(body io.Reader) string {
	resp, err := r.client.Post(r.url+"/v1/events", "application/x-ndjson", body)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

func TestHeadersPassBothWays(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			const path = "/v1/topics/headers"
			key := []string{"Idempotency-Key", r.name}
			first, id := r.post(t, path, "x", key...)
			again, same := r.post(t, path, "x", key...)
			if first.StatusCode != http.StatusCreated || again.StatusCode != http.StatusOK || again.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("with one key: %s %s, then %s %s", first.Status, id, again.Status, same)
			}
			// The server compares Origin with Host.
			if resp, answer := r.post(t, path, "x", "Origin", r.url); resp.StatusCode != http.StatusCreated {
				t.Errorf("from the server's own page: %s %s", resp.Status, answer)
			}
			if resp, _ := r.post(t, path, "x", "Origin", "https://example.org"); resp.StatusCode != http.StatusForbidden {
				t.Errorf("from the page of another site: %s", resp.Status)
			}
			if got := r.follow(t, path, "text/event-stream").header().Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options of a stream is %q", got)
			}
		})
	})
}

func TestEncodedTopicsPassAsTheyAre(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) {
			f := r.follow(t, "/v1/events?topic=a/%C3%A9%20%252F/b", "application/x-ndjson")
			f.await(`{"ready":`, soon)
			r.publish(t, "a%2F%C3%A9%20%252F/b", "x")
			f.await(`"topic":"a/é %2F/b"`, soon)
		})
	})
}

func TestServerListensOnASocketFile(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		path := filepath.Join(directory(t), "weir.sock")
		addr := proctest.FreeAddr()
		s := serveOn(t, addr, addr+",unix:"+path)
		if err := os.Chmod(path, 0o666); err != nil { // proxies have users of their own
			t.Fatal(err)
		}
		k.inFront(t, path).eachRoute(t, func(t *testing.T, r route) {
			f := r.follow(t, "/v1/topics/a", "text/event-stream")
			f.await("id: ", soon)
			r.publish(t, "a", r.name)
			f.await(r.name, soon)
		})
		if err := s.Alive(); err != nil {
			t.Fatal(err)
		}
	})
}
