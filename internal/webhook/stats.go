package webhook

import "time"

// A State says how a hook is.
type State int

const (
	Stopped State = iota // it is not run here
	Running              // events are sent, or there are none
	Failing              // the receiver does not accept, or the log refuses
	Gone                 // the receiver wants nothing more, until the server is started again
)

// States are the words for states, as in metrics.
var States = [...]string{"stopped", "running", "failing", "gone"}

// String returns a word.
func (s State) String() string { return States[s] }

// Stats are counts of a hook since start.
type Stats struct {
	State State
	Error string // why it is Failing or Gone, else ""

	Sent     int64     // events that were accepted
	Requests int64     // sent, with those that were sent again
	Failures int64     // requests that were not accepted
	Dead     int64     // events that became dead letters
	Dropped  int64     // events that were given up without
	Oldest   time.Time // when the oldest event happened that is not accepted; zero: there is none
}

// Stats returns the counts.
func (h *Hook) Stats() Stats {
	s := Stats{
		Sent: h.sent.Load(), Requests: h.requests.Load(), Failures: h.failures.Load(),
		Dead: h.dead.Load(), Dropped: h.dropped.Load(),
	}
	if ms := h.oldest.Load(); ms != 0 {
		s.Oldest = time.UnixMilli(ms)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.State, s.Error = h.state, h.err
	return s
}

// Name returns the name of the hook.
func (h *Hook) Name() string { return h.spec.Name }

// change sets the state, and logs it if it is another. What is Gone stays so.
func (h *Hook) change(s State, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == Gone {
		return
	}
	h.err = ""
	if err != nil {
		h.err = err.Error()
	}
	if h.state == s {
		return
	}
	h.state = s
	switch s {
	case Running:
		h.log.Info("webhook running")
	case Failing:
		h.log.Warn("webhook failing", "error", h.err)
	case Gone:
		h.log.Error("webhook stopped", "error", h.err)
	case Stopped:
		h.log.Debug("webhook stopped")
	}
}
