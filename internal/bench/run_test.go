package bench_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/bench"
)

func TestIdleCountsAndHoldsConnections(t *testing.T) {
	for _, perConn := range []int{1, 4} {
		o := options(bench.Idle, weir(t))
		o.Hold, o.TopicsPerConn, o.Topics = 300*time.Millisecond, perConn, perConn*10
		o.PIDs = []int{os.Getpid()}
		r := run(t, o)
		expect(t, r, map[string]float64{"connections": 200, "failed": 0, "disconnected": 0})
		if held, _ := r.Value("elapsed"); held < 0.3 {
			t.Errorf("connections were held for %v s, want 0.3", held)
		}
		if _, ok := r.Value("rss_per_connection"); !ok {
			t.Error("the memory of a connection is missing")
		}
	}
}

func TestFanoutIsCompleteAndInOrder(t *testing.T) {
	o := options(bench.Fanout, weir(t))
	o.Messages, o.InFlight, o.Others, o.Patterns = 300, 8, 20, 5
	r := run(t, o)
	expect(t, r, clean(300*200))
	expect(t, r, map[string]float64{"published": 300, "connections": 225})
	for _, name := range []string{"rate", "p50", "p90", "p99", "max", "ack_p50", "publish_rate", "elapsed", "own_cpu"} {
		if v, ok := r.Value(name); !ok || v <= 0 {
			t.Errorf("%s is %v (%v), want more than 0", name, v, ok)
		}
	}
}

func TestFanoutKeepsItsRate(t *testing.T) {
	o := options(bench.Fanout, weir(t))
	o.Messages, o.Rate, o.InFlight = 50, 100, 4
	r := run(t, o)
	expect(t, r, clean(50*200))
	if took, _ := r.Value("elapsed"); took < 0.49 {
		t.Errorf("50 messages at 100 a second took %v s, want 0.49 or more", took)
	}
}

func TestFanoutForATime(t *testing.T) {
	o := options(bench.Fanout, weir(t))
	o.Duration = 300 * time.Millisecond
	r := run(t, o)
	n, _ := r.Value("published")
	if n == 0 {
		t.Error("nothing was published")
	}
	expect(t, r, clean(n*200))
}

func TestFanoutOverLinesAndObjects(t *testing.T) {
	url := weir(t)
	for _, accept := range []string{"text/plain", "application/x-ndjson"} {
		o := options(bench.Fanout, url)
		o.Messages, o.SubscribeHeaders = 20, []string{"accept: " + accept}
		expect(t, run(t, o), clean(20*200))
	}
}

func TestTopicsAreServedSinglyAndInBatches(t *testing.T) {
	for _, batch := range []int{1, 7, 500} {
		o := options(bench.Topics, weir(t))
		o.Messages, o.Batch, o.InFlight = 1000, batch, 3
		expect(t, run(t, o), clean(1000))
	}
}

func TestFewTopicsWithManyReadersEach(t *testing.T) {
	o := options(bench.Fanout, weir(t))
	o.Messages, o.Topics, o.InFlight = 100, 4, 4
	expect(t, run(t, o), clean(100*200/4))
}

func TestStormCatchesUp(t *testing.T) {
	for _, topics := range []int{1, 20} {
		o := options(bench.Storm, weir(t))
		o.Rounds, o.Topics, o.PIDs = 2, topics, []int{os.Getpid()}
		r := run(t, o)
		expect(t, r, clean(10*200))
		if v, ok := r.Value("resume_ratio"); !ok || v <= 0 {
			t.Errorf("resume_ratio is %v (%v)", v, ok)
		}
	}
}

func TestStormNoticesThatNothingIsReplayed(t *testing.T) {
	s := new(relay)
	o := s.options(t)
	o.Scenario, o.Messages, o.PIDs = bench.Storm, 10, []int{os.Getpid()}
	expect(t, run(t, o), map[string]float64{"delivered": 0, "expected": 100, "lost": 100})
}

func TestSlowReadersLoseNothing(t *testing.T) {
	o := options(bench.Slow, weir(t))
	o.Stalled, o.Burst, o.Rate, o.Duration, o.Size = 10, 200, 100, 300*time.Millisecond, 2000
	o.PIDs = []int{os.Getpid()}
	r := run(t, o)
	n, _ := r.Value("published")
	expect(t, r, clean(n*180))
	expect(t, r, map[string]float64{"stalled": 20, "stalled_lost": 0, "stalled_out_of_order": 0, "stalled_doubled": 0, "stalled_disconnected": 0})
	for _, name := range []string{"base_p99", "p99_ratio", "rss_per_stalled"} {
		if _, ok := r.Value(name); !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestPublishNeedsNoReader(t *testing.T) {
	url := weir(t)
	o := options(bench.Publish, url)
	o.Messages = 500
	expect(t, run(t, o), map[string]float64{"published": 500, "refused": 0, "delivered": 0})
	o.Batch, o.Connections = 90, 2
	expect(t, run(t, o), clean(2*500))
}

// TestGoroutinesAgreeWithEpoll runs every scenario on the engine for TLS and other
// systems.
func TestGoroutinesAgreeWithEpoll(t *testing.T) {
	url := weir(t)
	for _, s := range bench.Scenarios() {
		o := options(s, url)
		o.Goroutines = true
		o.Connections = min(o.Connections, 50)
		o.Hold, o.Duration = 200*time.Millisecond, 200*time.Millisecond
		if o.Rate > 0 {
			o.Rate, o.Stalled, o.Burst = 100, 10, 50
		}
		r := run(t, o)
		zeros := map[string]float64{"failed": 0, "disconnected": 0}
		if s != bench.Idle {
			zeros = map[string]float64{"failed": 0, "disconnected": 0, "lost": 0, "out_of_order": 0, "doubled": 0}
			if n, _ := r.Value("published"); n == 0 {
				t.Errorf("%s: nothing was published", s)
			}
		}
		expect(t, r, zeros)
	}
}

func TestTLSIsSpoken(t *testing.T) {
	s := new(relay)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sub", s.subscribe)
	mux.HandleFunc("POST /pub", s.publish)
	srv := httptest.NewUnstartedServer(mux)
	srv.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	srv.StartTLS()
	defer srv.Close()
	o := options(bench.Fanout, srv.URL)
	o.SubscribeURL, o.PublishURL, o.Connections, o.Messages = srv.URL+"/sub", srv.URL+"/pub", 10, 50
	if _, err := bench.Run(t.Context(), o); !errors.Is(err, bench.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with an unknown certificate: %v, want an error that says so", err)
	}
	o.Insecure = true
	expect(t, run(t, o), clean(500))
}

func TestInterruptedRunsTellWhatTheyKnow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(bench.Fanout, weir(t))
	o.Duration = time.Hour
	o.Progress = func(p bench.Progress) {
		if p.Step == "fanout" {
			cancel()
		}
	}
	r, err := bench.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || r == nil {
		t.Fatalf("error %v and result %v, want %v and what is known", err, r, context.Canceled)
	}
	if n, _ := r.Value("delivered"); n == 0 {
		t.Error("nothing is known to be delivered")
	}
}

func TestRunsEndByThemselves(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	o := options(bench.Idle, silent.URL)
	o.Connections, o.Patience = 5, 200*time.Millisecond
	if _, err := bench.Run(t.Context(), o); !errors.Is(err, bench.ErrUnreachable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("a server that never answers gives %v", err)
	}
	o = options(bench.Fanout, weir(t))
	o.Duration, o.TimeLimit = time.Hour, 300*time.Millisecond
	if _, err := bench.Run(t.Context(), o); !errors.Is(err, bench.ErrTimeLimit) {
		t.Errorf("a run beyond its time limit gives %v, want %v", err, bench.ErrTimeLimit)
	}
}

func TestResultsAreOneObject(t *testing.T) {
	o := options(bench.Publish, weir(t))
	o.Messages = 10
	text, err := json.Marshal(run(t, o))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got["scenario"] != "publish" || got["published"] != 10.0 || got["size"] != 128.0 {
		t.Errorf("JSON is %s", text)
	}
}
