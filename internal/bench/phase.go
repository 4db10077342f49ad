package bench

import (
	"fmt"
	"slices"
	"time"
)

// prepare opens the readers and the publishers, and makes sure that every reader
// gets what is published.
func (r *run) prepare() error {
	start := r.clock.now()
	if err := r.open(r.readers, "connect"); err != nil {
		return err
	}
	r.result.setTime("open_time", timeSpan(start, r.clock.now()))
	if err := r.publisher.open(); err != nil {
		return err
	}
	return r.probe()
}

// probe publishes to each topic until every reader has received something, so
// that what is measured later does not begin before the last subscription.
func (r *run) probe() error {
	const again = time.Second
	r.probed = 0
	for _, c := range r.readers {
		c.probed = false
	}
	start := r.clock.now()
	r.step("subscribe", func() int64 { return int64(r.probed) }, func() int64 { return int64(r.o.Connections) })
	for {
		missing := r.unprobed()
		if len(missing) == 0 {
			return nil
		}
		r.publisher.probes = missing
		moved := func() int64 { return int64(r.probed) - int64(len(r.publisher.probes)) }
		all := r.openReaders()
		_, err := r.awaitFor(again, func() bool { return r.probed >= all }, moved)
		if err != nil {
			return err
		}
		if timeSpan(start, r.clock.now()) > r.o.Patience {
			return r.deaf()
		}
	}
}

// unprobed lists the topics of open readers that have received nothing.
func (r *run) unprobed() (topics []int) {
	for _, c := range r.counted() {
		if c.stage == open && !c.probed {
			topics = append(topics, c.topic)
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// deaf is no error while some readers receive: the others count as losses.
func (r *run) deaf() error {
	r.publisher.probes = nil
	if r.probed == 0 {
		return fmt.Errorf("%w: readers of %s receive nothing of what is published to %s", ErrRefused, r.o.SubscribeURL, r.o.PublishURL)
	}
	return nil
}

func (r *run) openReaders() (n int) {
	for _, c := range r.counted() {
		if c.stage == open {
			n++
		}
	}
	return n
}

// A phase is a time in which messages are published and counted.
type phase struct {
	elapsed time.Duration // first publish to last delivery
	own     time.Duration // processor time
	server  time.Duration
	rss     int64 // growth of the server
}

// measure publishes by a plan, waits for the deliveries, and returns the cost.
// What groups have counted before is forgotten.
func (r *run) measure(step string, pl plan) (phase, error) {
	r.forget()
	r.show(step, pl)
	before := r.meter.read()
	r.meter.bytes = 0
	_, err := r.publisher.run(pl)
	if err == nil {
		err = r.settle()
	}
	after := r.meter.read()
	p := phase{own: after.own - before.own, server: after.server - before.server, rss: after.rss - before.rss}
	p.elapsed = timeSpan(r.publisher.start, r.lastEvent())
	return p, err
}

// show has the progress display follow a plan: by deliveries if their number is
// known, else by messages, else by time, in milliseconds.
func (r *run) show(step string, pl plan) {
	perMessage := float64(r.audiences[0].readers) / float64(r.o.Topics)
	switch {
	case pl.messages > 0 && perMessage > 0:
		r.step(step, r.delivered, func() int64 { return int64(float64(pl.messages) * perMessage) })
	case pl.messages > 0:
		r.step(step, func() int64 { return r.publisher.acked }, func() int64 { return pl.messages })
	default:
		start := r.clock.now()
		r.step(step, func() int64 { return timeSpan(start, r.clock.now()).Milliseconds() }, pl.duration.Milliseconds)
	}
}

func (r *run) delivered() (n int64) {
	for _, g := range r.audiences {
		n += g.delivered
	}
	return n
}

// lastEvent is when the last message arrived, or else was acknowledged.
func (r *run) lastEvent() int64 {
	last := r.publisher.last
	for _, g := range r.audiences {
		last = max(last, g.last)
	}
	return last
}

// settle waits until the readers that read have everything.
func (r *run) settle() error {
	_, err := r.await(func() bool {
		for _, g := range r.audiences {
			if g.delivered < g.expected && !g.stalled {
				return false
			}
		}
		return true
	}, r.publisher.moved)
	return err
}

// forget begins new counts.
func (r *run) forget() {
	for _, g := range r.audiences {
		if !g.stalled { // those count until they have read on
			*g = group{readers: g.readers, byTopic: g.byTopic}
		}
	}
	r.publisher.acks = histogram{}
	for _, c := range r.counted() {
		c.delivered, c.order = 0, 0
	}
}

// divergent counts the readers that got everything, but in another order than
// most readers of the same topic.
func (r *run) divergent() (n int) {
	byTopic := make(map[int]map[uint64]int)
	most := make(map[int]int64)
	for _, c := range r.counted() {
		most[c.topic] = max(most[c.topic], c.delivered)
	}
	for _, c := range r.counted() {
		if c.delivered == most[c.topic] && c.delivered > 0 {
			if byTopic[c.topic] == nil {
				byTopic[c.topic] = make(map[uint64]int)
			}
			byTopic[c.topic][c.order]++
		}
	}
	for _, orders := range byTopic {
		all, largest := 0, 0
		for _, readers := range orders {
			all += readers
			largest = max(largest, readers)
		}
		n += all - largest
	}
	return n
}

// note puts a phase into the result.
func (r *run) note(p phase) {
	g, res := r.audiences[0], r.result
	res.set("delivered", float64(g.delivered))
	res.set("expected", float64(g.expected))
	res.set("lost", float64(max(g.expected-g.delivered, 0)))
	res.set("out_of_order", float64(g.late))
	res.set("doubled", float64(g.doubled))
	res.set("misrouted", float64(g.misrouted+r.audiences[1].misrouted))
	res.set("damaged", float64(g.damaged))
	res.set("divergent", float64(r.divergent()))
	res.setLatency("", &g.latency)
	res.setTime("elapsed", p.elapsed)
	res.set("received_bytes", float64(r.meter.bytes))
	res.setRatio("rate", float64(r.delivered()), p.elapsed.Seconds())
	r.notePublished(p)
	r.noteCost(p)
}

func (r *run) notePublished(p phase) {
	res, pub := r.result, r.publisher
	res.set("published", float64(pub.acked))
	res.set("refused", float64(pub.begun-pub.acked))
	res.setLatency("ack_", &pub.acks)
	res.setRatio("publish_rate", float64(pub.acked), timeSpan(pub.start, pub.last).Seconds())
	if len(r.o.PIDs) > 0 && r.o.Scenario != Storm { // whose cost is that of coming back
		res.setRatio("server_cpu_publish", p.server.Seconds(), float64(pub.acked))
	}
}

func (r *run) noteCost(p phase) {
	res := r.result
	res.setRatio("own_cpu", p.own.Seconds(), float64(r.delivered()))
	res.setRatio("own_cpu_share", p.own.Seconds(), p.elapsed.Seconds())
	if len(r.o.PIDs) > 0 {
		res.setRatio("server_cpu", p.server.Seconds(), float64(r.delivered()))
		res.setRatio("server_cpu_share", p.server.Seconds(), p.elapsed.Seconds())
	}
}

// finish completes the result with what every scenario has.
func (r *run) finish() *Result {
	res := r.result
	res.set("connections", float64(r.dial.most))
	res.set("failed", float64(r.dial.failed))
	res.set("disconnected", float64(r.dial.lost))
	gaps := 0
	for _, c := range r.readers {
		gaps += int(c.scanner.gaps)
	}
	res.set("gaps", float64(gaps))
	if len(r.o.PIDs) > 0 {
		rss := r.meter.sample()
		res.set("server_rss", float64(rss))
		res.set("server_rss_growth", float64(rss-r.before.rss))
		res.set("server_rss_peak", float64(r.meter.peak))
	}
	return res
}
