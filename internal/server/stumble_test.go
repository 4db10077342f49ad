package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

// A stumble is something that happens to what keeps the log of two nodes.
type stumble struct {
	name    string
	several bool // servers that stand in for each other
	begin   func(s *pair)
	end     func(s *pair)
	lasts   time.Duration
	refuse  int  // status of what is published meanwhile; 0: nothing is refused
	tells   bool // readers of both nodes get an event
}

// A pair is two nodes, what keeps their log, and what each reaches it through.
type pair struct {
	keeper keeper             // unless there are several servers
	flock  flock              // which are these
	relays [2]*feedtest.Relay // to the keeper
	heal   func()
	nodes  [2]*running
}

// slow makes the way of all answers and questions longer.
func (s *pair) slow(d time.Duration) {
	for _, r := range s.relays {
		r.Slow(d)
	}
}

var stumbles = []stumble{
	{
		name:  "killed and restarted",
		begin: func(s *pair) { s.keeper.Kill() },
		end:   func(s *pair) { s.keeper.Restart() },
		lasts: 3 * time.Second, refuse: 503, tells: true,
	},
	{
		name:  "paused for 20 s",
		begin: func(s *pair) { s.keeper.Pause() },
		end:   func(s *pair) { s.keeper.Resume() },
		lasts: 20 * time.Second, refuse: 503, tells: true,
	},
	{
		name:  "cut off from one node",
		begin: func(s *pair) { s.heal = s.relays[0].Part() },
		end:   func(s *pair) { s.heal() },
		lasts: 3 * time.Second, refuse: 503,
	},
	{
		name:  "slow",
		begin: func(s *pair) { s.slow(50 * time.Millisecond) },
		end:   func(s *pair) { s.slow(0) },
		lasts: 3 * time.Second,
	},
	{
		name:  "full",
		begin: func(s *pair) { s.keeper.fill() },
		end:   func(s *pair) { s.keeper.free() },
		lasts: 3 * time.Second, refuse: 507,
	},
	{
		name: "failed over", several: true,
		begin:  func(s *pair) { s.flock.killLeader() },
		end:    func(*pair) {}, // the others go on
		refuse: 503, tells: true,
	},
}

// newPair starts what keeps a log, and two nodes.
func newPair(t *testing.T, e engine, several bool) *pair {
	t.Helper()
	s := new(pair)
	if several {
		s.flock = e.several(t)
	} else {
		s.keeper = e.one(t)
	}
	for i := range s.nodes {
		set := defaults(t)
		set.Nodes = config.Nodes{Log: s.way(t, i), Name: "test", Wait: time.Second}
		s.nodes[i] = start(t, set)
	}
	return s
}

// way is the URL by which a node finds the log. Nodes find several servers by themselves.
func (s *pair) way(t *testing.T, i int) string {
	if s.flock != nil {
		return s.flock.log()
	}
	s.relays[i] = feedtest.NewRelay(t, s.keeper.Addr())
	return s.keeper.scheme() + s.relays[i].Addr()
}

// TestWhenTheLogStumbles has both nodes publish while something happens to what keeps
// their log: what publishers are told is true, readers stay, and get everything once, in
// the order of the log. All takes place at the same time, because most of it is waiting.
func TestWhenTheLogStumbles(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, e := range engines {
		for _, c := range stumbles {
			running.Go(func() { t.Run(e.name+" is "+c.name, func(t *testing.T) { c.run(t, newPair(t, e, c.several)) }) })
		}
	}
}

func (c *stumble) run(t *testing.T, s *pair) {
	readers := [2]*tail{newTail(t, s.nodes[0]), newTail(t, s.nodes[1])}
	ctx, stop := context.WithCancel(t.Context())
	var publishers [2]*publisher
	var publishing sync.WaitGroup
	for i, r := range s.nodes {
		publishers[i] = &publisher{url: r.url, name: string(rune('a' + i)), refused: map[int]int{}}
		publishing.Go(func() { publishers[i].run(ctx, t) })
	}
	defer publishing.Wait()
	defer stop()
	some := func(when string) {
		t.Helper()
		for _, p := range publishers {
			before := p.count()
			eventually(t, when+" "+p.name+" publishes", func() bool { return p.count() >= before+20 })
		}
	}
	some("before")
	begun := time.Now()
	c.begin(s)
	time.Sleep(c.lasts) // the time is what is tested
	c.end(s)
	some("afterwards")
	stop()
	publishing.Wait()
	c.checkReaders(t, readers, publishers[:])
	c.checkPublishers(t, publishers[:], begun)
}

// checkReaders wants that all have got everything once, and in one order.
func (c *stumble) checkReaders(t *testing.T, readers [2]*tail, publishers []*publisher) {
	t.Helper()
	want := publishers[0].count() + publishers[1].count()
	for i, x := range readers {
		eventually(t, fmt.Sprintf("the reader of node %d has all %d messages", i+1, want), func() bool { return x.count() >= want })
		x.check(t, publishers)
		if told := x.heard("unavailable") && x.heard("available"); c.tells && !told {
			t.Errorf("the reader of node %d was not told that the log was away", i+1)
		}
	}
	if first, second := strings.Join(readers[0].messages(), " "), strings.Join(readers[1].messages(), " "); first != second {
		t.Errorf("the nodes have different orders:\n%s\n%s", first, second)
	}
}

// checkPublishers wants that the first was refused, and as it should be.
func (c *stumble) checkPublishers(t *testing.T, publishers []*publisher, begun time.Time) {
	t.Helper()
	for status, n := range publishers[0].refused {
		if status != c.refuse {
			t.Errorf("%d times publishing was refused with %d, want %d", n, status, c.refuse)
		}
	}
	if c.refuse != 0 && publishers[0].refused[c.refuse] == 0 {
		t.Errorf("publishing was never refused with %d", c.refuse)
	}
	for i, p := range publishers {
		if !p.last.IsZero() {
			t.Logf("node %d refused to publish until %v after the beginning", i+1, p.last.Sub(begun).Round(time.Millisecond))
		}
	}
}

// A publisher publishes one message after the other, each until it is accepted.
type publisher struct {
	url, name string

	mu       sync.Mutex
	accepted int         // guarded by mu
	refused  map[int]int // by status; read when it has ended
	last     time.Time   // of what was refused; likewise
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func (p *publisher) run(ctx context.Context, t *testing.T) {
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for n := 1; ctx.Err() == nil; n++ {
		text := p.name + strconv.Itoa(n)
		for late := time.Now().Add(3 * patience); !p.publish(t, client, text); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(late) {
				t.Errorf("%s was not accepted within %v", text, 3*patience)
				return
			}
		}
		p.mu.Lock()
		p.accepted++
		p.mu.Unlock()
		time.Sleep(20 * time.Millisecond) // many tests publish
	}
}

// publish reports whether a message was accepted. What was begun is brought to its end
// when the test wants no more, so that it is known what was accepted.
func (p *publisher) publish(t *testing.T, client *http.Client, text string) bool {
	req, err := http.NewRequest(http.MethodPost, p.url+"/v1/topics/news", strings.NewReader(text))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Idempotency-Key", text)
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("publish %s: %v", text, err)
		return true
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return true
	}
	p.last = time.Now()
	if p.refused[resp.StatusCode]++; resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s was refused without Retry-After", text)
	}
	return false
}

// A tail reads a topic on one connection.
type tail struct {
	mu     sync.Mutex
	data   []string // guarded by mu
	status []string // guarded by mu
	ended  bool     // guarded by mu
}

func newTail(t *testing.T, r *running) *tail {
	x := new(tail)
	c := r.follow(t, "/v1/topics/news", "text/event-stream")
	_ = c.SetDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := c.body.ReadString('\n')
			x.take(strings.TrimSpace(line), err != nil)
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return x
}

func (x *tail) take(line string, ended bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = ended
	data, ok := strings.CutPrefix(line, "data: ")
	switch {
	case strings.HasPrefix(data, `{"log":`):
		x.status = append(x.status, data)
	case ok:
		x.data = append(x.data, data)
	}
}

func (x *tail) count() int { return len(x.messages()) }

func (x *tail) messages() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.data
}

func (x *tail) heard(status string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Contains(strings.Join(x.status, ""), `"`+status+`"`)
}

// check wants all that was accepted, each once, those of one publisher in their order,
// on one connection.
func (x *tail) check(t *testing.T, publishers []*publisher) {
	t.Helper()
	next := map[string]int{}
	for _, text := range x.messages() {
		name := text[:1]
		if next[name]++; text != name+strconv.Itoa(next[name]) {
			t.Fatalf("the reader got %s, want %s%d", text, name, next[name])
		}
	}
	for _, p := range publishers {
		if next[p.name] != p.count() {
			t.Errorf("the reader got %d messages of %s, want %d", next[p.name], p.name, p.count())
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		t.Error("the reader was cut off")
	}
}
