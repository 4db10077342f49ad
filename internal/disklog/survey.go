package disklog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// Kept describes entries that are kept.
type Kept struct {
	Entries                int
	Bytes                  int64  // of their data
	Oldest, Newest         uint64 // positions; 0 if there is none
	OldestTime, NewestTime time.Time
}

// Info describes a log.
type Info struct {
	Epoch, Format string
	Head          uint64 // newest position issued
	Reserved      uint64 // newest position that may have been issued; 0 after a clean end
	Kept
	Deleting            int   // entries that no topic keeps and that are still there
	FileBytes           int64 // size of the file
	FreeBytes           int64 // of it, what will be used again
	Topics              int   // known, also if they keep nothing
	Keys                int   // idempotency keys
	Values              int
	IntervalLost        uint64 // newest position that a message of durability interval, lost in a crash, may have had; 0 if none
	MemoryLost          uint64 // the same for messages of durability memory
	ForgottenTopicsLost uint64 // newest position lost by a topic that is not known any more
}

// A Topic describes what the log has of one topic.
type Topic struct {
	Name string
	Kept
	Lost uint64 // newest position that is known to be lost; 0 if none
}

// Info reads the whole log.
func (r *Reader) Info(ctx context.Context, p Progress) (Info, error) {
	m := r.meta
	i := Info{
		Epoch: m.epoch, Format: format, Head: m.head, Reserved: m.reserved,
		IntervalLost: m.losses.last(Interval), MemoryLost: m.losses.last(Memory), ForgottenTopicsLost: m.forgotten,
	}
	s, err := r.survey(ctx, p)
	if err != nil {
		return i, err
	}
	i.Kept, i.Topics, i.Deleting = s.all, len(s.topics), s.entries-s.all.Entries
	i.Keys, i.Values = s.keys, s.values
	file, err := r.file.Stat()
	if err != nil {
		return i, err
	}
	i.FileBytes = file.Size()
	i.FreeBytes = i.FileBytes - (2+s.pages)*r.pageSize // two say where the others are
	return i, nil
}

// Topics reads the whole log and describes the topics that sel selects, by name.
func (r *Reader) Topics(ctx context.Context, sel *eventlog.Selector, p Progress) (list []Topic, err error) {
	s, err := r.survey(ctx, p)
	if err != nil {
		return nil, err
	}
	for name, t := range s.topics {
		if sel.Match(name) {
			list = append(list, Topic{name, t.kept, max(t.lost, t.row.gone)})
		}
	}
	slices.SortFunc(list, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// A survey counts what each topic keeps, as restoring the log would.
type survey struct {
	topics                map[string]*surveyed
	all                   Kept
	entries, keys, values int // in the file
	pages                 int64
	err                   error // the first
}

type surveyed struct {
	row  topicRow
	kept Kept
	lost uint64

	// The newest state of each key, of those whose retention is over, which are kept,
	// and of those that were to be forgotten, which are lost.
	shelf, fallen map[string]*shelved
}

// A shelved entry may be on the shelf of several topics.
type shelved struct {
	entry *eventlog.Entry
	size  int
	all   bool // counted in survey.all
}

func (r *Reader) survey(ctx context.Context, p Progress) (*survey, error) {
	s := &survey{topics: make(map[string]*surveyed)}
	for name, row := range r.rows {
		s.topics[name] = &surveyed{row: row}
	}
	w := pageWalk{visit: s.visit}
	w.turn = func() { p("reading", w.used, int64(r.pages)) }
	err := r.scan(ctx, &w)
	s.pages = w.used
	for _, t := range s.topics {
		s.settle(t)
	}
	return s, errors.Join(err, s.err)
}

func (s *survey) visit(bucket string, key, value []byte) bool {
	switch bucket {
	case string(entriesBucket):
		e, data, err := parseRecord(number(key), value)
		if err != nil {
			s.err = fmt.Errorf("%w: %w", ErrDamaged, err)
			return false
		}
		s.entries++
		s.add(e, len(data))
	case string(keysBucket):
		s.keys++
	case string(valuesBucket):
		s.values++
	}
	return true
}

// add counts an entry for each of its topics, and once for all.
func (s *survey) add(e *eventlog.Entry, size int) {
	one := &shelved{entry: e, size: size}
	for _, name := range e.Topics {
		t := s.topics[name]
		if t == nil {
			t = new(surveyed)
			s.topics[name] = t
		}
		s.addTo(t, one)
	}
}

func (s *survey) addTo(t *surveyed, one *shelved) {
	e := one.entry
	if e.State {
		delete(t.shelf, e.Key)
		delete(t.fallen, e.Key)
	}
	switch {
	case e.Seq > max(t.row.floor, t.row.forgot):
		s.count(t, one)
	case t.row.keeps(e):
		put(&t.shelf, one)
	case e.State:
		put(&t.fallen, one)
	default:
		t.lost = e.Seq
	}
}

func put(m *map[string]*shelved, one *shelved) {
	if *m == nil {
		*m = make(map[string]*shelved)
	}
	(*m)[one.entry.Key] = one
}

// settle counts the states that no newer one has replaced.
func (s *survey) settle(t *surveyed) {
	for _, one := range t.shelf {
		s.count(t, one)
	}
	for _, one := range t.fallen {
		t.lost = max(t.lost, one.entry.Seq)
	}
}

func (s *survey) count(t *surveyed, one *shelved) {
	t.kept.add(one.entry, one.size)
	if !one.all {
		one.all = true
		s.all.add(one.entry, one.size)
	}
}

func (k *Kept) add(e *eventlog.Entry, size int) {
	k.Entries++
	k.Bytes += int64(size)
	if k.Oldest == 0 || e.Seq < k.Oldest {
		k.Oldest, k.OldestTime = e.Seq, e.Time
	}
	if e.Seq > k.Newest {
		k.Newest, k.NewestTime = e.Seq, e.Time
	}
}
