package bench_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/bench"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/server"
)

// TestMain fails if a goroutine of this package or of a server is left over.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// weir starts a server in process and returns its URL.
func weir(t *testing.T) string {
	t.Helper()
	loaded, err := config.Load(config.Input{Flags: map[string][]string{"listen": {"127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(loaded.Settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return strings.TrimSuffix(srv.Listeners()[0].URL, "/")
}

// options are the defaults of a scenario, but small.
func options(s bench.Scenario, url string) bench.Options {
	o := bench.Defaults(s)
	o.Server = url
	o.Connections = min(o.Connections, 200)
	o.Patience = 5 * time.Second
	o.TimeLimit = time.Minute
	return o
}

func run(t *testing.T, o bench.Options) *bench.Result {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", o.Scenario, err)
	}
	return r
}

// expect compares metrics.
func expect(t *testing.T, r *bench.Result, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got, ok := r.Value(name); !ok || got != v {
			var text strings.Builder
			_ = r.WriteText(&text)
			t.Errorf("%s is %v (%v), want %v, in\n%s", name, got, ok, v, &text)
		}
	}
}

// clean is what a server that does its work gives.
func clean(delivered float64) map[string]float64 {
	return map[string]float64{"delivered": delivered, "expected": delivered, "lost": 0, "out_of_order": 0, "doubled": 0,
		"misrouted": 0, "damaged": 0, "divergent": 0, "gaps": 0, "failed": 0, "disconnected": 0, "refused": 0}
}

// A relay is a small server of one topic that can do its work badly.
type relay struct {
	// badly turns what a reader is to get next into what it gets. It is called for
	// each reader and each message but the first few of the reader, and keeps held
	// back messages in held.
	badly func(reader, n int, frame string, held *string) string
	// answer answers a publish; nil: 204
	answer func(w http.ResponseWriter, n int)

	mu        sync.Mutex
	readers   []*relayReader
	published int
}

type relayReader struct {
	frames chan string
	stop   chan struct{} // closed: the connection is cut
	n      int
	held   string
}

// relaySkips messages pass as they are: the probes.
const relaySkips = 1

func (s *relay) start(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sub", s.subscribe)
	mux.HandleFunc("POST /pub", s.publish)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func (s *relay) options(t *testing.T) bench.Options {
	url := s.start(t)
	o := options(bench.Fanout, url)
	o.SubscribeURL, o.PublishURL = url+"/sub", url+"/pub?x={topic}"
	o.Connections, o.Messages, o.Patience = 10, 100, time.Second
	return o
}

func (s *relay) subscribe(w http.ResponseWriter, r *http.Request) {
	me := &relayReader{frames: make(chan string, 10_000), stop: make(chan struct{})}
	s.mu.Lock()
	s.readers = append(s.readers, me)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	for {
		select {
		case frame := <-me.frames:
			io.WriteString(w, frame)
			w.(http.Flusher).Flush()
		case <-me.stop:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (s *relay) publish(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	frame := "data: " + string(body) + "\n\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published++
	for i, reader := range s.readers {
		reader.n++
		text := frame
		if n := reader.n - relaySkips; n > 0 && s.badly != nil {
			text = s.badly(i, n, frame, &reader.held)
		}
		if text != "" {
			reader.frames <- text
		}
	}
	if s.answer != nil {
		s.answer(w, s.published)
		return
	}
	w.WriteHeader(204)
}
