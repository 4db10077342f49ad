package disklog

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

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
		IntervalLost: m.interval, MemoryLost: m.memory, ForgottenTopicsLost: m.forgotten,
	}
	err := r.view(func(tx *bbolt.Tx, v view) error {
		s, err := newSurvey(ctx, v, p)
		if err != nil {
			return err
		}
		i.Kept, i.Topics, i.Deleting = s.all, len(s.topics), s.entries-s.all.Entries
		i.Keys, i.Values = v.keys.Stats().KeyN, v.values.Stats().KeyN
		return i.readSizes(tx)
	})
	return i, err
}

func (i *Info) readSizes(tx *bbolt.Tx) error {
	file, err := os.Stat(tx.DB().Path())
	if err != nil {
		return err
	}
	used := tx.Cursor().Bucket().Stats() // of the root, and so of all
	i.FileBytes = file.Size()
	i.FreeBytes = i.FileBytes - int64(2*tx.DB().Info().PageSize+used.BranchAlloc+used.LeafAlloc)
	return nil
}

// Topics reads the whole log and describes the topics that sel selects, by name.
func (r *Reader) Topics(ctx context.Context, sel *eventlog.Selector, p Progress) (list []Topic, err error) {
	err = r.view(func(_ *bbolt.Tx, v view) error {
		s, err := newSurvey(ctx, v, p)
		if err != nil {
			return err
		}
		for name, t := range s.topics {
			if sel.Match(name) {
				list = append(list, Topic{name, t.kept, max(t.lost, t.row.gone)})
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// A survey counts what each topic keeps, as restoring the log would.
type survey struct {
	v       view
	topics  map[string]*surveyed
	all     Kept
	entries int // in the file
}

type surveyed struct {
	row  topicRow
	kept Kept
	lost uint64

	// The newest state of each key whose retention is over. It is kept, too.
	shelf map[string]*shelved
}

// A shelved entry may be on the shelf of several topics.
type shelved struct {
	entry *eventlog.Entry
	size  int
	all   bool // counted in survey.all
}

func newSurvey(ctx context.Context, v view, p Progress) (*survey, error) {
	s := &survey{v: v, topics: make(map[string]*surveyed)}
	err := v.topics.ForEach(func(k, b []byte) error {
		s.topics[string(k)] = &surveyed{row: parseTopic(b)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, s.read(ctx, p)
}

func (s *survey) read(ctx context.Context, p Progress) error {
	total := int64(s.v.entries.Stats().KeyN)
	err := s.v.entries.ForEach(func(k, b []byte) error {
		if s.entries%progressEvery == 0 {
			p("reading", int64(s.entries), total)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		e, data, err := parseRecord(number(k), b)
		if err != nil {
			return err
		}
		s.entries++
		s.add(e, len(data))
		return nil
	})
	p("reading", int64(s.entries), total)
	for _, t := range s.topics {
		s.unshelve(t)
	}
	return err
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
	switch {
	case e.Seq > max(t.row.floor, t.row.forgot):
		s.count(t, one)
		if e.State {
			delete(t.shelf, e.Key)
		}
	case t.row.keeps(e):
		if t.shelf == nil {
			t.shelf = make(map[string]*shelved)
		}
		t.shelf[e.Key] = one
	default:
		t.lost = e.Seq
	}
}

// unshelve counts what is on the shelf in the end.
func (s *survey) unshelve(t *surveyed) {
	for _, one := range t.shelf {
		s.count(t, one)
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
