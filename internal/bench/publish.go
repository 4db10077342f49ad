package bench

import (
	"fmt"
	"math"
	"time"
)

// maxTrouble is how many publishes in a row may fail before the run ends.
const maxTrouble = 100

// A plan says what to publish.
type plan struct {
	messages int64         // 0: for duration
	duration time.Duration // used if messages is 0
	rate     float64       // messages per second; 0: whenever a lane is free
	window   int64         // most messages that not all readers have; 0: no limit
}

// A publisher sends messages on its lanes. The streams of several topics belong
// to one lane each; a single topic has a stream for each lane. So the messages of
// a stream are sent one after another.
type publisher struct {
	r     *run
	to    *target
	lanes []*lane
	idle  []*lane // in the order in which they became so
	seqs  []uint64
	forms []form // of topics
	batch []byte // head of a batch up to the value of Content-Length

	plan    plan
	active  bool  // a plan is under way
	start   int64 // of the plan
	begun   int64 // messages of the plan handed to lanes
	acked   int64 // of the plan
	refused int64 // of the plan: answered otherwise, or the connection was lost
	acks    histogram
	last    int64 // when the last acknowledgement came
	probes  []int // topics a probe has to go to
	trouble int   // publishes that failed since the last that did not
}

// A form is what requests for one topic have in common.
type form struct {
	head []byte    // up to the value of Content-Length, which is constant
	body splitBody // of a single post
	line splitBody // of a batch
}

func newPublisher(r *run, to *target, lanes int) *publisher {
	p := &publisher{r: r, to: to}
	streams := max(r.o.Topics, lanes)
	if r.o.Topics > 1 {
		streams = r.o.Topics
	}
	p.seqs = make([]uint64, streams)
	for i := range lanes {
		l := &lane{}
		for s := i; s < streams; s += lanes {
			l.streams = append(l.streams, s)
		}
		l.conn = conn{to: to, lane: l}
		p.lanes = append(p.lanes, l)
	}
	if lanes > 0 {
		p.makeForms()
	}
	return p
}

// streamsPerTopic is also what one reader follows.
func (p *publisher) streamsPerTopic() int {
	if p.r.o.Topics > 1 {
		return 1
	}
	return len(p.seqs)
}

func (p *publisher) topicOf(stream int) int {
	if p.r.o.Topics > 1 {
		return stream
	}
	return 0
}

func (p *publisher) makeForms() {
	o := &p.r.o
	headers := override([]string{"Content-Type: text/plain", "User-Agent: weir-bench"}, o.Headers, o.PublishHeaders)
	for i := range o.Topics {
		name := p.r.topicName(i)
		f := form{
			head: requestHead(o.PublishMethod, path(expandURL(o.PublishURL, []string{name})), p.to.host, headers, true),
			body: expandBody(o.PublishBody, name),
			line: expandBody(o.BatchLine, name),
		}
		f.head = appendLength(f.head, f.body.len()+o.Size)
		p.forms = append(p.forms, f)
	}
	headers = override([]string{"Content-Type: application/x-ndjson", "User-Agent: weir-bench"}, o.Headers, o.PublishHeaders)
	p.batch = requestHead("POST", path(o.BatchURL), p.to.host, headers, true)
}

// open connects all lanes.
func (p *publisher) open() error {
	r := p.r
	r.step("connect publishers", p.opened, func() int64 { return int64(len(p.lanes)) })
	for _, l := range p.lanes {
		p.dial(l)
	}
	ok, err := r.await(func() bool { return p.opened() == int64(len(p.lanes)) }, p.opened)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %d of %d publishers could connect to %s", ErrUnreachable, p.opened(), len(p.lanes), p.to.host)
	}
	return err
}

func (p *publisher) opened() (n int64) {
	for _, l := range p.lanes {
		if l.conn.stage == open {
			n++
		}
	}
	return n
}

func (p *publisher) dial(l *lane) {
	l.conn.stage = opening
	l.conn.response = response{}
	p.r.wire.dial(&l.conn)
}

func (p *publisher) connected(l *lane) {
	l.conn.stage = open
	p.idle = append(p.idle, l)
	p.fill(p.r.clock.now())
}

// run carries out a plan and waits until all of it is acknowledged or refused.
// It reports whether it came to that.
func (p *publisher) run(pl plan) (bool, error) {
	p.plan = pl
	p.begun, p.acked, p.refused = 0, 0, 0
	p.start = p.r.clock.now()
	p.last = p.start
	p.active = true
	ok, err := p.r.await(p.done, p.moved)
	p.active = false
	return ok, err
}

func (p *publisher) done() bool { return p.allBegun(p.r.clock.now()) && p.begun == p.acked+p.refused }

// moved grows with every step ahead of the publisher and the readers.
func (p *publisher) moved() int64 {
	n := p.acked + p.refused
	for _, g := range p.r.audiences {
		n += g.delivered
	}
	return n
}

func (p *publisher) allBegun(now int64) bool {
	if p.plan.messages > 0 {
		return p.begun >= p.plan.messages
	}
	return now-p.start >= int64(p.plan.duration)
}

// scheduled reports whether nothing but time keeps the next message back.
func (p *publisher) scheduled() bool {
	return p.active && p.plan.rate > 0 && len(p.idle) > 0 && !p.allBegun(p.r.clock.now())
}

// fill gives work to idle lanes and returns how long there is none.
func (p *publisher) fill(now int64) time.Duration {
	for len(p.probes) > 0 && len(p.idle) > 0 {
		topic := p.probes[0]
		p.probes = p.probes[1:]
		p.post(p.takeIdle(), topic, message{stream: probeStream, due: now, size: p.r.o.Size})
	}
	for p.active && len(p.idle) > 0 {
		due, wait := p.next(now)
		if wait > 0 {
			return wait
		}
		p.publish(p.takeIdle(), due)
	}
	return math.MaxInt64
}

func (p *publisher) takeIdle() *lane {
	l := p.idle[0]
	copy(p.idle, p.idle[1:])
	p.idle = p.idle[:len(p.idle)-1]
	return l
}

// next returns the time at which the next message is due, and how far that lies
// ahead. Messages that are late keep the time at which they were due, so that
// their latency counts the delay.
func (p *publisher) next(now int64) (due int64, wait time.Duration) {
	if p.allBegun(now) || p.full() {
		return 0, math.MaxInt64
	}
	if p.plan.rate == 0 {
		return now, 0
	}
	due = p.start + int64(float64(p.begun)/p.plan.rate*1e9)
	return due, time.Duration(max(due-now, 0))
}

// full reports whether the window is.
func (p *publisher) full() bool {
	g := p.r.audiences[0]
	return p.plan.window > 0 && g.readers > 0 && p.begun-g.delivered/int64(g.readers) >= p.plan.window
}

// timeSpan is the time from one moment to another.
func timeSpan(from, to int64) time.Duration { return time.Duration(to - from) }
