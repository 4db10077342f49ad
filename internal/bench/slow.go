package bench

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
