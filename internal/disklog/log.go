package disklog

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/weirstream/weir/eventlog"
)

// Errors of Append and Commit.
var (
	// ErrNoSpace means that the disk is full. Nothing was stored; readers go on, and
	// publishing works again when there is room. It wraps [eventlog.ErrFull].
	ErrNoSpace = fmt.Errorf("%w: no space left on the disk", eventlog.ErrFull)
	// ErrFailed means that the disk has failed. It stays so. It wraps [eventlog.ErrFailed].
	ErrFailed = fmt.Errorf("%w: the disk does not store what it is given", eventlog.ErrFailed)
)

// queueLimit is how many calls of Append may wait for the writer. More wait for a
// place in the queue, until their context ends.
const queueLimit = 4096

// A Log keeps its entries in a directory. Make one with [Open].
type Log struct {
	*eventlog.Index
	options Options
	db      *bbolt.DB
	queue   chan *request
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	once    sync.Once

	graves graves // what is to be deleted
	writer        // owned by the writer goroutine
}

// A request is one call that waits for the writer.
type request struct {
	eventlog.Change
	upTo uint64 // what topics are to forget goes up to here; set by the writer
	bury bool   // delete all that is not kept any more, now
	done chan error
}

// Open opens the log in a directory, or makes an empty one. It reads where all
// entries are, which takes about a second for a million.
func Open(dir string, o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := openFile(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{options: o, db: db, queue: make(chan *request, queueLimit), closing: make(chan struct{}), stopped: make(chan struct{})}
	l.graves.dug = make(chan struct{}, 1)
	l.writer.log = l
	if err := l.restore(); err != nil {
		db.Close()
		return nil, err
	}
	go l.writer.run() // ends with Close
	return l, nil
}

func newEpoch() string {
	var random [5]byte
	rand.Read(random[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
}

// Append implements [eventlog.Log]. When ctx ends while the entries are being
// stored, they may be stored or not.
func (l *Log) Append(ctx context.Context, es ...*eventlog.Entry) error {
	return l.Commit(ctx, nil, es...)
}

// Commit implements [eventlog.Log]. Values are always on the disk when it returns.
func (l *Log) Commit(ctx context.Context, puts []eventlog.Put, es ...*eventlog.Entry) error {
	return l.CommitIf(ctx, eventlog.Change{Puts: puts, Entries: es})
}

// CommitIf implements [eventlog.Conditional].
func (l *Log) CommitIf(ctx context.Context, c eventlog.Change) error {
	if err := eventlog.Prepare(c.Entries...); err != nil {
		return err
	}
	for _, p := range c.Puts {
		if len(p.Key) > bbolt.MaxKeySize-1 {
			return fmt.Errorf("%w: key of a value has %d bytes, limit %d", eventlog.ErrFull, len(p.Key), bbolt.MaxKeySize-1)
		}
	}
	_, err := l.submit(ctx, &request{Change: c})
	return err
}

// submit hands r to the writer, waits for it, and forgets what is to be forgotten. It
// returns how many entries that is.
func (l *Log) submit(ctx context.Context, r *request) (forgotten int, err error) {
	if err := l.await(ctx, r); err != nil {
		return 0, err
	}
	for _, name := range r.Forget {
		forgotten += l.ForgetUpTo(name, r.upTo)
	}
	if forgotten > 0 { // what cannot be deleted now is later: that it is forgotten is on the disk
		_ = l.await(ctx, &request{bury: true})
	}
	return forgotten, nil
}

// await hands r to the writer and waits for it.
func (l *Log) await(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.done = make(chan error, 1)
	select {
	case l.queue <- r:
	case <-l.closing:
		return eventlog.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-l.stopped:
	}
	select { // the writer's last words
	case err := <-r.done:
		return err
	default:
		return eventlog.ErrClosed
	}
}

// Forget implements [eventlog.Log]. The entries are off the disk when it returns,
// but for those that other topics keep.
func (l *Log) Forget(topic string) (int, error) {
	return l.submit(context.Background(), &request{Change: eventlog.Change{Forget: []string{topic}}})
}

// Close stores what is only in memory yet, and ends the log.
func (l *Log) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		<-l.stopped
		err = errors.Join(l.writer.finish(), l.Index.Close(), l.db.Close())
	})
	return err
}

// Load implements [eventlog.Store].
func (l *Log) Load(ctx context.Context, seqs []uint64) ([]*eventlog.Entry, error) {
	es := make([]*eventlog.Entry, len(seqs))
	err := l.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(entriesBucket)
		for i, seq := range seqs {
			v := b.Get(position(seq))
			if v == nil {
				continue
			}
			var err error
			if es[i], err = parseEntry(seq, v); err != nil {
				l.options.Logger.Error("a message cannot be read: its readers come no further", "file", l.db.Path(), "error", err)
				return err
			}
		}
		return ctx.Err()
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		err = eventlog.ErrClosed
	}
	return es, err
}

// Trimmed implements [eventlog.Store].
func (l *Log) Trimmed(seq uint64, lost bool) { l.graves.addEntry(grave{seq, lost}) }

// Dropped implements [eventlog.Store].
func (l *Log) Dropped(topic string) { l.graves.addTopic(topic) }

// Stats describe the file.
type Stats struct {
	FileBytes int64         // its size
	FreeBytes int64         // of pages that will be used again
	Deleting  int           // entries that no topic keeps and that are still there
	LastSync  time.Duration // how long the last transaction took
}

// Stats returns them; nothing once the log is closed.
func (l *Log) Stats() (s Stats) {
	select {
	case <-l.closing: // bbolt's counts are not there any more
		return s
	default:
	}
	_ = l.db.View(func(tx *bbolt.Tx) error {
		s.FileBytes = tx.Size()
		return nil
	})
	db := l.db.Stats()
	s.FreeBytes = int64(db.FreePageN) * int64(l.db.Info().PageSize)
	s.Deleting = l.graves.len()
	s.LastSync = time.Duration(l.lastSync.Load())
	return s
}
