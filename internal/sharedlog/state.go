package sharedlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/eventlog"
)

// Why a node cannot go on from where it is.
var (
	errHole     = errors.New("records are gone that this node has not seen")
	errDiverged = errors.New("the list has other records than this node has seen")
	errBack     = errors.New("the list has lost its newest records")
)

// A state is what one node knows of the list, up to one record.
type state struct {
	log    *Log
	index  *eventlog.Index
	places places
	cold   cold

	// Guarded by Log.mu, once the state is the log's.
	mark   Mark
	nonce  uint64            // of mark
	seq    uint64            // position of the newest entry ever, or of the newest jump
	last   int64             // time of the newest entry, nanoseconds since 1970
	lost   uint64            // up to here messages may be lost, nobody knows which
	forgot map[string]uint64 // topics that had to forget all up to a position
	chunks chunks
	recent recent

	checkpoint uint64   // the record of the newest checkpoint that is complete
	bytes      int64    // its size
	doomed     []uint64 // records to be deleted

	fresh []*eventlog.Entry // what the follower has not got yet; before the state is the log's
}

func (l *Log) newState() (*state, error) {
	s := &state{log: l, forgot: make(map[string]uint64), chunks: make(chunks)}
	var err error
	s.index, err = eventlog.NewIndex(l.options.History, l.epoch, s, l.options.HotBytes)
	return s, err
}

// check parses what may be the next record.
func (s *state) check(rec Record) (*record, error) {
	if rec.Pos != s.mark.Pos+1 {
		return nil, fmt.Errorf("%w: record %d follows %d", errHole, rec.Pos, s.mark.Pos)
	}
	r, err := parseRecord(rec.Pos, rec.Data)
	if err != nil {
		return nil, err
	}
	if r.before != s.nonce {
		return nil, fmt.Errorf("%w: record %d", errDiverged, rec.Pos)
	}
	return r, nil
}

// advance notes that r is the newest record.
func (s *state) advance(r *record, rec Record) {
	s.mark, s.nonce = Mark{rec.Pos, r.tag()}, r.nonce
	s.seq, s.last = max(s.seq, r.head), max(s.last, r.time)
	s.recent.add(s.mark, rec.Data)
}

// apply carries out the next record. es are its entries, or what has become them, with
// duplicates. It returns how many entries each forget has dropped.
func (s *state) apply(r *record, rec Record, es []*eventlog.Entry) (forgotten []int, err error) {
	s.advance(r, rec)
	s.places.add(rec.Pos, len(rec.Data), r.entries)
	s.places.move(rec.Pos, r.moved)
	if len(es)+len(r.puts) > 0 {
		if err := s.index.Insert(r.puts, always, es...); err != nil {
			return nil, err
		}
	}
	for _, f := range r.forgets {
		forgotten = append(forgotten, s.forget(f))
	}
	s.jump(r.jump)
	for _, c := range r.chunks {
		if err := s.chunk(c); err != nil {
			return forgotten, err
		}
	}
	return forgotten, nil
}

func always(*eventlog.Entry) bool { return true }

func (s *state) forget(f forget) int {
	s.forgot[f.topic] = max(s.forgot[f.topic], f.upTo)
	return s.index.ForgetUpTo(f.topic, f.upTo)
}

// jump notes that positions up to one are gone, or may have been given twice.
func (s *state) jump(to uint64) {
	if to <= s.lost {
		return
	}
	s.lost = to
	s.index.RestoreHead(to, 0)
	s.index.RestoreLoss(to, func(string) uint64 { return to })
}

// chunk takes a part of a checkpoint. When it was the last, what the checkpoint does
// not keep is given up here, too, because it is about to be deleted.
func (s *state) chunk(c chunk) error {
	cp, err := s.chunks.add(c)
	if cp == nil || err != nil {
		return err
	}
	s.chunks.expire(cp.pos)
	if cp.pos <= s.checkpoint {
		return nil
	}
	s.checkpoint, s.bytes = cp.pos, int64(c.count-1)*chunkBytes+int64(len(c.data))
	for _, seq := range s.index.Kept() {
		if seq > cp.head {
			break
		}
		if _, kept := slices.BinarySearch(cp.Kept, seq); !kept {
			s.index.Lose(seq)
		}
	}
	list := s.places.deletable(cp.pos, cp.Kept)
	s.places.remove(list)
	s.doomed = append(s.doomed, list...)
	return nil
}

// Trimmed implements [eventlog.Store].
func (s *state) Trimmed(seq uint64, _ bool) { s.places.trimmed(seq) }

// Dropped implements [eventlog.Store].
func (s *state) Dropped(string) {}

// recent are the newest records, in case that the engine loses them.
type recent struct {
	list  []recentRecord
	bytes int
}

type recentRecord struct {
	mark Mark
	data []byte
}

// recentBytes is how many bytes of records are at hand.
const recentBytes = 4 << 20

func (r *recent) add(m Mark, data []byte) {
	r.list = append(r.list, recentRecord{m, data})
	r.bytes += len(data) + 64
	for r.bytes > recentBytes && len(r.list) > 1 {
		r.bytes -= len(r.list[0].data) + 64
		r.list[0] = recentRecord{}
		r.list = r.list[1:]
	}
}

// after returns the records after m, which is one of them. ok is false if it is not.
func (r *recent) after(m Mark) (list []recentRecord, ok bool) {
	for i := range r.list {
		if r.list[i].mark == m {
			return slices.Clone(r.list[i+1:]), true
		}
	}
	return nil, false
}
