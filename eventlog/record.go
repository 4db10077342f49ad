package eventlog

// A record is what a log knows of an entry without looking at it: enough to find
// it, to trim it, and to say what has been lost.
type record struct {
	seq     uint64
	at      int64 // the entry's time, in nanoseconds since 1970
	size    int32 // bytes of data
	charge  int32 // what it counts towards Options.TotalBytes
	holders int32 // how many topics keep it
	several bool  // it has more than one topic
	stored  bool  // the store has it
	state   bool  // it is the state of its key
	entry   *Entry
	names   *names // nil if entry is never nil, or there is one topic, no chosen ID and no state
}

// names are what must be known of some entries even while only the store has them.
type names struct {
	topics []string
	id     string
	key    string
}

// newRecord returns the record of e. In a log without a store it is a part of e.
func (m *Memory) newRecord(e *Entry, size int) *record {
	r := &e.record
	if m.store != nil {
		r = new(record)
		if len(e.Topics) > 1 || e.ID != "" || e.State {
			r.names = &names{e.Topics, e.ID, e.Key}
		}
	}
	*r = record{
		seq: e.Seq, at: e.Time.UnixNano(), size: int32(size), charge: int32(int(entrySize(e)) - len(e.Data) + size),
		holders: int32(len(e.Topics)), several: len(e.Topics) > 1, entry: e, names: r.names, state: e.State,
	}
	return r
}

// topics returns the topics of an entry that has several.
func (r *record) topics() []string {
	if r.names != nil {
		return r.names.topics
	}
	return r.entry.Topics
}

// id returns the chosen ID, or "".
func (r *record) id() string {
	switch {
	case r.names != nil:
		return r.names.id
	case r.entry != nil:
		return r.entry.ID
	}
	return ""
}

// key returns the key of a state message.
func (r *record) key() string {
	if r.names != nil {
		return r.names.key
	}
	return r.entry.Key
}
