package feed

// A State says how a feed is.
type State int

const (
	Connecting State = iota // it has not been running yet
	Running                 // messages arrive and are stored
	Failing                 // the source cannot be reached, or the log refuses
	Stopped                 // Run has returned
)

// States are the words for states, as in metrics.
var States = [...]string{"connecting", "running", "failing", "stopped"}

// String returns a word.
func (s State) String() string { return States[s] }

// Stats are counts of a feed since start.
type Stats struct {
	State State
	Error string // why it is Failing, else ""

	Received   int64 // messages that the source delivered, with those it delivered again
	Published  int64 // messages stored, without dead letters
	Duplicates int64 // messages not stored again
	Dead       int64 // messages that became dead letters
	Dropped    int64 // messages that can never be published, without a dead-letter topic
	Failures   int64 // lost connections, and batches that the log refused at first
	Lag        int64 // messages that wait at the source, as of a few seconds ago; -1: it does not say
}

// Stats returns the counts.
func (f *Feed) Stats() Stats {
	s := Stats{
		Received: f.received.Load(), Published: f.published.Load(), Duplicates: f.duplicates.Load(),
		Dead: f.dead.Load(), Dropped: f.dropped.Load(), Failures: f.failures.Load(), Lag: f.lag.Load(),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.State, s.Error = f.state, f.err
	return s
}

// Name returns the name of the feed.
func (f *Feed) Name() string { return f.opts.Spec.Name }

// Kind returns where its messages come from.
func (f *Feed) Kind() Kind { return f.opts.Spec.Kind() }
