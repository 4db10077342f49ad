package bench

import (
	"slices"
	"time"
)

// storm drops all readers, publishes, and has them all come back at once and ask
// for what they have missed. The time until they have caught up is compared with
// the time in which as many connect without a past.
func (r *run) storm() (err error) {
	var fresh, resumed []time.Duration
	var last phase
	for round := 0; round < r.o.Rounds && err == nil; round++ {
		var f time.Duration
		if f, last, err = r.stormRound(); f > 0 {
			fresh = append(fresh, f)
		}
		if last.elapsed > 0 {
			resumed = append(resumed, last.elapsed)
		}
	}
	r.noteStorm(fresh, resumed, last)
	return err
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
