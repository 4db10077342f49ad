package bench

import "time"

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
