package bench

import (
	"slices"
	"time"
)

// scenario carries out the one that the options name.
func (r *run) scenario() error {
	r.before = r.meter.read()
	switch r.o.Scenario {
	case Idle:
		return r.idle()
	case Storm:
		return r.storm()
	case Slow:
		return r.slow()
	}
	return r.steady()
}

func (r *run) plan() plan {
	return plan{messages: r.o.Messages, duration: r.o.Duration, rate: r.o.Rate, window: int64(r.o.Window)}
}

// steady is for all scenarios that open, publish and count: fanout, topics and publish.
func (r *run) steady() error {
	if err := r.prepare(); err != nil {
		return err
	}
	p, err := r.measure(string(r.o.Scenario), r.plan())
	r.note(p)
	return err
}

// idle opens connections and holds them. A few are opened and dropped before the
// memory is read first, so that what a server sets up once does not count.
func (r *run) idle() error {
	const warmUp = 100
	few := r.readers[:min(warmUp, len(r.readers))]
	if err := r.open(few, "warm up"); err != nil {
		return err
	}
	r.drop(few)
	if err := r.quiet(); err != nil {
		return err
	}
	r.dial = dialling{}
	r.before = r.meter.read()
	start := r.clock.now()
	if err := r.open(r.readers, "connect"); err != nil {
		return err
	}
	r.result.setTime("open_time", timeSpan(start, r.clock.now()))
	return r.hold()
}

func (r *run) hold() error {
	start, before := r.clock.now(), r.meter.read()
	passed := func() int64 { return int64(timeSpan(start, r.clock.now())) / 1e6 }
	r.step("hold", passed, func() int64 { return r.o.Hold.Milliseconds() })
	r.meter.bytes = 0
	err := r.pause(r.o.Hold)
	after := r.meter.read()
	held := timeSpan(start, r.clock.now())
	r.result.setTime("elapsed", held)
	r.result.set("received_bytes", float64(r.meter.bytes))
	r.result.setRatio("own_cpu_share", (after.own - before.own).Seconds(), held.Seconds())
	if len(r.o.PIDs) > 0 {
		r.result.setRatio("server_cpu_share", (after.server - before.server).Seconds(), held.Seconds())
		r.result.setRatio("rss_per_connection", float64(after.rss-r.before.rss), float64(r.dial.now))
	}
	return err
}

// quiet waits until the server has nothing to do, as far as that can be seen.
func (r *run) quiet() error {
	const look, blind, busy = 200 * time.Millisecond, time.Second, 0.05
	if len(r.o.PIDs) == 0 {
		return r.pause(blind)
	}
	for deadline := r.clock.now() + int64(r.o.Patience); r.clock.now() < deadline; {
		before := r.meter.read().server
		if err := r.pause(look); err != nil {
			return err
		}
		if (r.meter.read().server - before).Seconds() <= busy*look.Seconds() {
			break
		}
	}
	return nil
}

// storm drops all readers, publishes, and has them all come back at once and ask
// for what they have missed. The time until they have caught up is compared with
// the time in which as many connect without a past.
func (r *run) storm() error {
	var fresh, resumed []time.Duration
	var sum phase
	for range r.o.Rounds {
		f, p, err := r.stormRound()
		if f > 0 {
			fresh = append(fresh, f)
		}
		if p.elapsed > 0 {
			resumed = append(resumed, p.elapsed)
		}
		sum = p
		if err != nil {
			r.noteStorm(fresh, resumed, sum)
			return err
		}
	}
	r.noteStorm(fresh, resumed, sum)
	return nil
}

func (r *run) noteStorm(fresh, resumed []time.Duration, p phase) {
	r.audiences[0].latency = histogram{} // it would count the time in which nobody was there
	r.note(p)
	if len(fresh) > 0 {
		r.result.setTime("fresh_time", median(fresh))
	}
	if len(resumed) > 0 {
		r.result.setTime("resume_time", median(resumed))
		r.result.setRatio("resume_ratio", median(resumed).Seconds(), median(fresh).Seconds())
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// stormRound returns the time of fresh connections and the phase of the storm.
func (r *run) stormRound() (fresh time.Duration, p phase, err error) {
	r.resume = false
	if err = r.quiet(); err != nil {
		return
	}
	start := r.clock.now()
	if err = r.open(r.readers, "connect"); err != nil {
		return
	}
	fresh = timeSpan(start, r.clock.now())
	r.result.setTime("open_time", fresh)
	if r.publisher.opened() == 0 {
		if err = r.publisher.open(); err != nil {
			return
		}
	}
	if err = r.probe(); err != nil {
		return
	}
	r.drop(r.readers)
	p, err = r.comeBack()
	r.drop(r.readers)
	return
}

// comeBack publishes to nobody, and then has everybody come back.
func (r *run) comeBack() (p phase, err error) {
	r.forget()
	messages := r.o.Messages * int64(r.o.Topics)
	r.step("publish", func() int64 { return r.publisher.acked }, func() int64 { return messages })
	if _, err = r.publisher.run(plan{messages: messages}); err != nil {
		return
	}
	if err = r.quiet(); err != nil {
		return
	}
	r.resume = true
	r.audiences[0].expected = r.publisher.acked / int64(r.o.Topics) * int64(r.o.Connections)
	before, start := r.meter.read(), r.clock.now()
	r.meter.bytes = 0
	if err = r.open(r.readers, "come back"); err == nil {
		err = r.settle()
	}
	after := r.meter.read()
	p = phase{own: after.own - before.own, server: after.server - before.server, elapsed: timeSpan(start, max(r.audiences[0].last, start))}
	return
}

// slow measures twice: while all read, and while some of the readers stall. Each
// time messages are published first that fill the buffers on the way to the
// stalled readers.
func (r *run) slow() error {
	stalled := int(float64(r.o.Connections) * r.o.Stalled / 100)
	if r.o.Stalled > 0 {
		stalled = max(stalled, 1)
	}
	few := r.counted()[:stalled]
	for _, c := range few {
		c.narrow = true
	}
	if err := r.prepare(); err != nil {
		return err
	}
	base, err := r.burstAndMeasure("all read")
	r.note(base)
	if err != nil {
		return err
	}
	r.result.setLatency("base_", &r.audiences[0].latency)
	r.result.set("stalled", float64(stalled))
	slow := r.stall(few)
	p, err := r.burstAndMeasure("some stall")
	r.noteSlow(base, p, slow)
	if err != nil {
		return err
	}
	return r.goOn(few, slow)
}

// burstAndMeasure measures after a burst; the growth of memory counts from before
// the burst.
func (r *run) burstAndMeasure(step string) (phase, error) {
	if err := r.quiet(); err != nil {
		return phase{}, err
	}
	before := r.meter.read().rss
	if r.o.Burst > 0 {
		if _, err := r.measure("burst", plan{messages: int64(r.o.Burst)}); err != nil {
			return phase{}, err
		}
	}
	p, err := r.measure(step, plan{messages: r.o.Messages, duration: r.o.Duration, rate: r.o.Rate})
	p.rss = r.meter.read().rss - before
	return p, err
}

// stall has the readers of list stop reading and puts them into a group of their own.
func (r *run) stall(list []*conn) *group {
	g := &group{byTopic: make([]int, r.o.Topics), stalled: true}
	r.audiences = append(r.audiences, g)
	for _, c := range list {
		r.join(c, g)
		if c.stage == open {
			r.wire.pause(c, true)
		}
	}
	return g
}

func (r *run) noteSlow(base, p phase, slow *group) {
	r.note(p)
	res := r.result
	if b, ok := res.Value("base_p99"); ok {
		if v, ok := res.Value("p99"); ok {
			res.setRatio("p99_ratio", v, b)
		}
	}
	if len(r.o.PIDs) > 0 && slow.readers > 0 {
		res.set("rss_per_stalled", float64(p.rss-base.rss)/float64(slow.readers))
	}
}

// goOn has stalled readers read on, and sees whether they get everything.
func (r *run) goOn(list []*conn, g *group) error {
	lost := r.dial.lost
	g.stalled = false
	for _, c := range list {
		if c.stage == open {
			r.wire.pause(c, false)
		}
	}
	delivered := func() int64 { return g.delivered }
	r.step("read on", delivered, func() int64 { return g.expected })
	_, err := r.await(func() bool { return g.delivered >= g.expected }, delivered)
	r.result.set("stalled_lost", float64(max(g.expected-g.delivered, 0)))
	r.result.set("stalled_out_of_order", float64(g.late))
	r.result.set("stalled_doubled", float64(g.doubled))
	r.result.set("stalled_disconnected", float64(r.dial.lost-lost))
	return err
}
