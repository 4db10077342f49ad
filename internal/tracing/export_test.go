package tracing_test

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/internal/tracing"
)

var discard = stdlog.New(io.Discard, "", 0)

// reports collects what a tracer reports. It is read after Close only.
type reports []string

func (r *reports) add(err error) {
	if err == nil {
		err = errors.New("over")
	}
	*r = append(*r, err.Error())
}

// TestReceiverThatIsDownIsNoMatter publishes while nobody listens.
func TestReceiverThatIsDownIsNoMatter(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	var told reports
	tracer := open(t, tracing.Options{Endpoint: "http://" + ln.Addr().String(), Ratio: 1, Report: told.add})
	s := serve(t, tracer)
	for range 10 {
		if got := s.do(t, "POST /v1/topics/a", "x"); got != 201 {
			t.Fatalf("publish: %d", got)
		}
	}
	eventually(t, "spans are dropped", func() bool { return tracer.Dropped() > 0 })
	for range 10 {
		s.do(t, "POST /v1/topics/a", "x")
	}
	tracer.Close(t.Context())
	if got := tracer.Dropped(); got != 40 {
		t.Errorf("%d spans are dropped, want 40", got)
	}
	if len(told) != 1 || !strings.Contains(told[0], "connection refused (spans dropped so far: ") {
		t.Errorf("told: %q, want once that the connection is refused", told)
	}
}

// TestQueueThatIsFullDrops publishes while the receiver does not answer, and looks for
// each span afterwards.
func TestQueueThatIsFullDrops(t *testing.T) {
	const requests = 3000
	arrived, answer := make(chan bool, requests), make(chan bool)
	r := receive(t, func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-answer
	})
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	h := tracer.Handler(status(201))
	post(h, 1)
	<-arrived
	post(h, requests) // nothing reads the queue
	if got := tracer.Dropped(); got != requests-1024 {
		t.Errorf("%d spans are dropped, want %d", got, requests-1024)
	}
	close(answer)
	tracer.Close(t.Context())
	if got := len(r.all()); got != 1+1024 {
		t.Errorf("%d spans arrive, want the first and 1024 that had room", got)
	}
	for _, body := range r.raw {
		if n := strings.Count(body, `"spanId"`); n > 256 {
			t.Errorf("%d requests are sent together, limit 256", n)
		}
	}
	post(h, 5)
	if got := tracer.Dropped(); got != requests-1024+5 {
		t.Errorf("after Close %d spans are dropped, want 5 more", got)
	}
}

// TestRefusedSpansCount states what the answers of receivers mean.
func TestRefusedSpansCount(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		dropped int64
		told    string
	}{
		{200, `{}`, 0, ""},
		{204, ``, 0, ""},
		{200, `{"partialSuccess":{}}`, 0, ""},
		{200, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`, 2, `the receiver refused 2 of 3 spans: "too old" (spans dropped so far: 2)`},
		{200, `{"partialSuccess":{"rejectedSpans":3}}`, 3, `the receiver refused 3 of 3 spans: "" (spans dropped so far: 3)`},
		{200, `{"partialSuccess":{"rejectedSpans":"9000000000"}}`, 3, `the receiver refused 9000000000 of 3 spans: "" (spans dropped so far: 3)`},
		{200, `{"partialSuccess":{"rejectedSpans":"-1"}}`, 0, ""},
		{200, `<html>`, 0, ""},
		{400, "no\nway", 3, `the receiver answered 400 Bad Request: "no\nway" (spans dropped so far: 3)`},
		{307, "", 3, `the receiver answered 307 Temporary Redirect: "" (spans dropped so far: 3)`},
		{503, strings.Repeat("x", 5000), 3, `the receiver answered 503 Service Unavailable: "` + strings.Repeat("x", 512) + `" (spans dropped so far: 3)`},
	} {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		var told reports
		tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1, Report: told.add})
		post(tracer.Handler(status(201)), 3)
		tracer.Close(t.Context())
		if tracer.Dropped() != c.dropped || strings.Join(told, "; ") != c.told {
			t.Errorf("answer %d %.60q: %d dropped, told %q, want %d and %q", c.status, c.body, tracer.Dropped(), told, c.dropped, c.told)
		}
	}
}

// inMemory opens a tracer whose receiver is in memory, for virtual time. Its handler
// may be replaced as long as no span is sent.
func inMemory(t *testing.T, report func(error), h *http.HandlerFunc) *tracing.Tracer {
	t.Helper()
	ln := testnet.Listen()
	srv := &http.Server{ErrorLog: discard, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(*h)(w, r)
	})}
	go func() { _ = srv.Serve(ln) }()
	tracer, err := tracing.Open(tracing.Options{Endpoint: "http://receiver.test", Ratio: 1, Report: report,
		Transport: &http.Transport{DialContext: ln.Dial, DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tracer.Close(context.Background())
		srv.Close()
	})
	return tracer
}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
func works(http.ResponseWriter, *http.Request)     {}

// hangs does not answer as long as the client waits.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// TestFailuresAreToldOnceAMinute publishes every 10 seconds.
func TestFailuresAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		var recovered []time.Duration
		begin := time.Now()
		h := http.HandlerFunc(fails)
		tracer := inMemory(t, func(err error) {
			if at := time.Since(begin); err != nil {
				told = append(told, at)
			} else {
				recovered = append(recovered, at)
			}
		}, &h)
		handler := tracer.Handler(status(201))
		for i := range 30 { // 5 minutes
			switch i {
			case 18:
				h = works // after 3 minutes
			case 20:
				h = fails
			}
			post(handler, 2)
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		tracer.Close(t.Context())
		// Each batch is sent a second after its first span.
		want := []time.Duration{1 * time.Second, 61 * time.Second, 121 * time.Second, 201 * time.Second, 261 * time.Second}
		if len(told) != len(want) {
			t.Fatalf("failures are told at %v, want %v", told, want)
		}
		for i := range want {
			if told[i] != want[i] {
				t.Errorf("failures are told at %v, want %v", told, want)
				break
			}
		}
		if len(recovered) != 1 || recovered[0] != 181*time.Second {
			t.Errorf("the end of it is told at %v, want once at 3m1s", recovered)
		}
		if got := tracer.Dropped(); got != 28*2 {
			t.Errorf("%d spans are dropped, want 56", got)
		}
	})
}

// TestCloseDoesNotWaitLong closes while the receiver does not answer.
func TestCloseDoesNotWaitLong(t *testing.T) {
	for _, c := range []struct {
		ctx, want time.Duration
	}{{time.Minute, 2 * time.Second}, {300 * time.Millisecond, 300 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			h := http.HandlerFunc(hangs)
			tracer := inMemory(t, nil, &h)
			post(tracer.Handler(status(201)), 600) // three batches
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
			defer cancel()
			begin := time.Now()
			tracer.Close(ctx)
			if took := time.Since(begin); took != c.want {
				t.Errorf("Close took %v, want %v", took, c.want)
			}
			if got := tracer.Dropped(); got != 600 {
				t.Errorf("%d spans are dropped, want all 600", got)
			}
			tracer.Close(ctx) // once more does no harm
		})
	}
}

// TestCloseSendsWhatWaits closes within the second that a batch waits for more.
func TestCloseSendsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent++ })
		tracer := inMemory(t, nil, &h)
		post(tracer.Handler(status(201)), 300)
		begin := time.Now()
		tracer.Close(t.Context())
		if took := time.Since(begin); took != 0 || sent != 2 || tracer.Dropped() != 0 {
			t.Errorf("Close took %v and sent %d batches; %d spans are dropped; want 0s, 2 and 0", took, sent, tracer.Dropped())
		}
	})
}

// TestReceiverThatHangsIsGivenUp states how long one attempt may take.
func TestReceiverThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		h := http.HandlerFunc(hangs)
		tracer := inMemory(t, told.add, &h)
		post(tracer.Handler(status(201)), 1)
		time.Sleep(time.Second + 10*time.Second - time.Millisecond)
		synctest.Wait()
		if tracer.Dropped() != 0 {
			t.Error("given up before 10 s")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if len(told) != 1 || !strings.Contains(told[0], "no answer within 10s") || tracer.Dropped() != 1 {
			t.Errorf("after 10 s %d are dropped, told %q", tracer.Dropped(), told)
		}
	})
}

// TestOffCostsNothing states that there is nothing in between when tracing is off, and no
// allocation for what is not traced when it is on.
func TestOffCostsNothing(t *testing.T) {
	off, err := tracing.Open(tracing.Options{Ratio: 1})
	if off != nil || err != nil {
		t.Fatalf("Open without an endpoint: %v, %v", off, err)
	}
	defer off.Close(t.Context())
	memory, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if off.Log(memory) != tracing.Log(memory) || off.Dropped() != 0 {
		t.Error("a tracer that is off stands around the log")
	}
	h := new(counter)
	if off.Handler(h) != http.Handler(h) {
		t.Error("a tracer that is off stands around the handler")
	}
	on := open(t, tracing.Options{Endpoint: "http://127.0.0.1:1"})
	for _, c := range []struct {
		tracer       *tracing.Tracer
		line, parent string
	}{
		{off, "POST /v1/topics/a", ""},
		{on, "POST /v1/topics/a", ""},
		{on, "POST /v1/events", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
		{on, "GET /v1/topics/a", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	} {
		method, path, _ := strings.Cut(c.line, " ")
		r, err := http.NewRequest(method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.parent != "" {
			r.Header.Set("Traceparent", c.parent)
		}
		handler := c.tracer.Handler(h)
		if n := testing.AllocsPerRun(100, func() { handler.ServeHTTP(nil, r) }); n != 0 {
			t.Errorf("%s with traceparent %q, tracing off: %v: %v allocations, want 0", c.line, c.parent, c.tracer == nil, n)
		}
	}
	if *h != 4*101 {
		t.Errorf("the handler served %d requests, want 404", *h)
	}
}

// A counter counts the requests that it serves.
type counter int

func (c *counter) ServeHTTP(http.ResponseWriter, *http.Request) { *c++ }

// TestLogIsWhatItStandsAround runs the suite of all logs.
func TestLogIsWhatItStandsAround(t *testing.T) {
	tracer := open(t, tracing.Options{Endpoint: "http://127.0.0.1:1", Ratio: 1})
	logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
		memory, err := eventlog.NewMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		return tracer.Log(memory)
	})
}
