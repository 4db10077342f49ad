package hub_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/stream"
)

// The model test publishes at random to several topics with short histories, and
// has readers of all kinds drop, come back with the last ID that they saw, and
// stop reading for a while. In the end what each reader got is compared with the
// list of everything published: model_reader_test.go reads, model_check_test.go
// compares.

var modelSeed = flag.Uint64("model.seed", 0, "seed of TestReadersSeeTheLogOrAreToldWhatIsMissing; 0: several, new each time")

func TestReadersSeeTheLogOrAreToldWhatIsMissing(t *testing.T) {
	for name, open := range modelLogs {
		t.Run(name, func(t *testing.T) {
			if *modelSeed != 0 {
				playModel(t, *modelSeed, open)
				return
			}
			var total tally
			seed := uint64(1)
			for n := 0; n < 2 || n < 40 && !total.complete(); n++ {
				total.add(playModel(t, seed, open))
				seed = rand.Uint64()
			}
			if t.Logf("%+v", total); !total.complete() {
				t.Errorf("not all has happened that should: %+v", total)
			}
		})
	}
}

// modelLogs keep the messages. The one on disk reads all that is not new from the file.
var modelLogs = map[string]func(t *testing.T) eventlog.Log{
	"memory": func(*testing.T) eventlog.Log { return nil },
	"disk": func(t *testing.T) eventlog.Log {
		l, err := disklog.Open(t.TempDir(), disklog.Options{History: modelHistory, HotBytes: 1, Durability: disklog.Interval, Interval: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return l
	},
}

// playModel lets one world run and checks what its readers got.
func playModel(t *testing.T, seed uint64, open func(*testing.T) eventlog.Log) (total tally) {
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
		w := newWorld(t, seed, open(t))
		w.run()
		for _, r := range w.readers {
			n, err := r.check(w.all)
			if err != nil {
				t.Errorf("seed %d: %v: %v\n%s", seed, r, err, r.tail())
			}
			total.add(n)
		}
	})
	return total
}

// A world is a hub, its readers, and what was published.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	hub     *hub.Hub
	readers []*modelReader
	urls    [3]string // of a server for each of kinds
	clients [3]*http.Client
	ctx     context.Context // ends when it takes too long

	mu      sync.Mutex
	changed *sync.Cond  // on mu: something below has changed
	all     []published // guarded by mu: by position, from 1
	end     int         // guarded by mu: position of the last message, once that is about to be published
}

// A published is a message with the ID that it should have on the wire.
type published struct {
	hub.Message
	wireID string
}

const modelMessages = 500

// modelHistory keeps so little that whoever is away for a moment misses something.
var modelHistory = hub.History{
	Default: hub.Retention{MaxEntries: 12},
	Rules: []hub.Rule{
		{Pattern: "busy/**", Retention: hub.Retention{MaxEntries: 5}},
		{Pattern: "rare", Retention: hub.Retention{MaxEntries: 40}},
	},
}

var modelTopics = []string{"a", "b/1", "b/2", "busy/x", "busy/x", "busy/y", "c/d/e", "rare"}

// modelSelectors are what readers follow. The first few are single topics.
var modelSelectors = [][]string{
	{"a"}, {"busy/x"}, {"rare"}, {"b/1"},
	{"**"}, {"b/*"}, {"a", "rare"}, {"busy/*", "c/**"}, {"a", "b/1", "b/*", "**"}, {"busy/x", "rare", "c/d/*"},
}

func newWorld(t *testing.T, seed uint64, log eventlog.Log) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1))}
	w.changed = sync.NewCond(&w.mu)
	engine := stream.NewEngine(2)
	w.hub = newHub(t, hub.Options{Log: log, History: modelHistory, Stream: stream.Options{Engine: engine, Retry: -1}})
	handler := http.NewServeMux()
	for i := range 2 * len(modelSelectors) {
		r := w.newReader(i)
		w.readers = append(w.readers, r)
		handler.Handle(fmt.Sprintf("/%d", i), w.hub.HandlerFor(r.sub))
	}
	for i, kind := range kinds {
		w.serve(i, kind, handler)
	}
	t.Cleanup(func() {
		w.hub.Close()
		eventually(t, "all streams are gone", func() bool { return engine.Len() == 0 })
	})
	return w
}

// newReader returns reader i. Wire form, selector and kind of server come in all
// combinations over the readers, the rest at random.
func (w *world) newReader(i int) *modelReader {
	sub := hub.Subscription{
		Topics: modelSelectors[i%len(modelSelectors)],
		Form:   []hub.Form{hub.Events, hub.Lines}[(i+i/len(modelSelectors))%2],
		Policy: []hub.Policy{hub.Diff, hub.Diff, hub.Diff, hub.All, hub.Reset}[w.rnd.IntN(5)],
		Slow:   []hub.SlowPolicy{hub.CatchUp, hub.CatchUp, hub.CatchUp, hub.Cut}[w.rnd.IntN(4)],
	}
	selector, err := eventlog.Select(sub.Topics...)
	if err != nil {
		w.t.Fatal(err)
	}
	return &modelReader{
		world: w, n: i, sub: sub, selector: selector, kind: w.rnd.IntN(len(kinds)),
		start: []string{"", "since=start", "last=4"}[w.rnd.IntN(3)],
		rnd:   rand.New(rand.NewPCG(w.rnd.Uint64(), 2)),
	}
}

// serve starts a server with small socket buffers.
func (w *world) serve(i int, kind string, h http.Handler) {
	const buffer = 32 << 10
	if kind == "pipe" {
		h = withoutHijack(h)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener = smallBuffers{srv.Listener, buffer}
	if kind == "http2" {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
		srv.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if tcp, ok := nc.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(buffer)
			}
			return nc, err
		}
	}
	w.urls[i], w.clients[i] = srv.URL, srv.Client()
	w.t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
}

// run publishes, and returns when all readers have got the last message.
func (w *world) run() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, w.changed.Broadcast)()
	w.ctx = ctx
	var reading sync.WaitGroup
	for _, r := range w.readers {
		reading.Go(r.run)
	}
	for n := 0; n < modelMessages; {
		n = w.publish(n, 1+w.rnd.IntN(8))
		if w.rnd.IntN(3) > 0 {
			w.await(w.readers[w.rnd.IntN(len(w.readers))])
		}
	}
	w.publishEnd()
	reading.Wait()
	if ctx.Err() != nil {
		w.t.Errorf("not all readers have got the last message within 30 s")
	}
}

// publish publishes count messages at once, and records them.
func (w *world) publish(n, count int) int {
	var ms []hub.Message
	for range count {
		m := hub.Message{Topics: w.topics(), Data: w.data(n)}
		if w.rnd.IntN(8) == 0 {
			m.ID = fmt.Sprintf("own-%d", n)
		}
		ms = append(ms, m)
		n++
	}
	w.record(ms)
	return n
}

func (w *world) publishEnd() {
	w.mu.Lock()
	w.end = len(w.all) + 1
	w.mu.Unlock()
	w.record([]hub.Message{{Topics: append([]string(nil), modelTopics...), Data: []byte("end")}})
}

func (w *world) record(ms []hub.Message) {
	ids, err := w.hub.PublishAll(context.Background(), ms...)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range ms {
		p := published{m, fmt.Sprintf("%s-%d", w.hub.Log().Epoch(), len(w.all)+1)}
		if m.ID != "" {
			p.wireID = m.ID
		}
		if ids[i] != p.wireID {
			w.t.Errorf("message %d got the ID %q, want %q", len(w.all)+1, ids[i], p.wireID)
		}
		w.all = append(w.all, p)
		for _, r := range w.readers {
			if r.selector.MatchEntry(&eventlog.Entry{Message: m}) {
				r.due = len(w.all)
			}
		}
	}
	w.changed.Broadcast()
}

// topics chooses the topics of a message.
func (w *world) topics() (topics []string) {
	for range []int{1, 1, 1, 2, 3}[w.rnd.IntN(5)] {
		topics = append(topics, modelTopics[w.rnd.IntN(len(modelTopics))])
	}
	return topics
}

// data is the message's number and padding.
func (w *world) data(n int) []byte {
	size := []int{0, 100, 2000, 20_000, 70_000}[w.rnd.IntN(5)]
	return fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", w.rnd.IntN(size+1)))
}

// await waits until r has all that it should, unless it does not read.
func (w *world) await(r *modelReader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r.reading && r.seen < r.due && w.ctx.Err() == nil {
		w.changed.Wait()
	}
}

// awaitHead waits until n more messages are published, and returns the newest.
func (w *world) awaitHead(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for head := len(w.all) + n; len(w.all) < head && w.end == 0 && w.ctx.Err() == nil; {
		w.changed.Wait()
	}
}
