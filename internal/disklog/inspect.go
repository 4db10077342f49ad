package disklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
)

// ErrDamaged means that the file contradicts itself. [Verify] tells where.
var ErrDamaged = errors.New("disklog: the file is damaged")

// A Progress is told now and then how far something has come. total is 0 if it is
// not known.
type Progress func(step string, done, total int64)

// progressEvery is the number of records between two calls of a Progress, where it
// is not called for each page.
const progressEvery = 1024

// A Reader reads a log that no process has open to write, without changing it: not
// even what no topic keeps any more is deleted. As long as it is open, the log
// cannot be opened otherwise. Its methods may be called at once.
//
// What topics keep is what retention has left in the file. A topic whose settings
// have become stricter since, or whose messages have become too old, keeps less once
// the log is opened again.
type Reader struct {
	db   *bbolt.DB // for its lock
	file *os.File
	pageFile
	meta meta
	rows map[string]topicRow
}

// OpenReader opens the log in a directory. [ErrInUse] means that another process
// has it open, an error that wraps [fs.ErrNotExist] that there is none.
func OpenReader(dir string) (*Reader, error) {
	path := filepath.Join(dir, FileName)
	r, err := openPages(path)
	if err != nil {
		return nil, err
	}
	if err = r.readMeta(); err == nil {
		err = r.readRows()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return r, nil
}

// openPages opens a file and reads no more than where its pages are.
func openPages(path string) (*Reader, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("disklog: no log in %s: %w", filepath.Dir(path), err)
	}
	db, err := openDB(path, true)
	if err != nil {
		return nil, err
	}
	r := &Reader{db: db, rows: make(map[string]topicRow)}
	if r.file, err = os.Open(path); err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			r.pageFile = newPageFile(r.file, tx)
			return nil
		})
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close lets others open the log.
func (r *Reader) Close() error {
	var err error
	if r.file != nil {
		err = r.file.Close()
	}
	return errors.Join(err, r.db.Close())
}

// Epoch names the log's numbering: see [eventlog.Log].
func (r *Reader) Epoch() string { return r.meta.epoch }

// bucket calls fn for the keys of a bucket. Damage is an error, in the end.
func (r *Reader) bucket(name []byte, fn func(key, value []byte)) error {
	return r.scan(context.Background(), &pageWalk{
		only:  string(name),
		visit: func(_ string, key, value []byte) bool { fn(key, value); return true },
	})
}

// scan runs a walk. The first damage is an error, in the end.
func (r *Reader) scan(ctx context.Context, w *pageWalk) error {
	var damage error
	w.pageFile = r.pageFile
	w.damaged = func(place string) {
		if damage == nil {
			damage = fmt.Errorf("%w: %s", ErrDamaged, place)
		}
	}
	return errors.Join(w.run(ctx), damage)
}

func (r *Reader) readMeta() error {
	found := make(map[string][]byte)
	if err := r.bucket(metaBucket, func(k, v []byte) { found[string(k)] = bytes.Clone(v) }); err != nil {
		return err
	}
	if f := string(found[string(formatKey)]); f != format {
		return fmt.Errorf("disklog: format is %q, this program knows %q", f, format)
	}
	r.meta = parseMeta(func(key []byte) []byte { return found[string(key)] })
	return nil
}

func (r *Reader) readRows() error {
	return r.bucket(topicsBucket, func(k, v []byte) { r.rows[string(k)] = parseTopic(v) })
}

// keeps reports whether a topic with this row keeps e. For the state of a key whose
// retention is over it does not look whether there is a newer one.
func (t topicRow) keeps(e *eventlog.Entry) bool {
	return e.Seq > max(t.floor, t.forgot) || e.State && e.Seq > t.forgot
}

// kept reports whether a topic that sel selects keeps e.
func (r *Reader) kept(sel *eventlog.Selector, e *eventlog.Entry) bool {
	for _, name := range e.Topics {
		if sel.Match(name) && r.rows[name].keeps(e) {
			return true
		}
	}
	return false
}

// Entries calls fn for every entry that a topic selected by sel keeps, in order,
// from the first with a position above after on, until fn returns an error or ctx
// ends. fn owns the entry. Instead of what is damaged it gets an error.
//
// An old state of a key may be there if it is still in the file, because another
// topic keeps it or it is not deleted yet.
func (r *Reader) Entries(ctx context.Context, sel *eventlog.Selector, after uint64, fn func(*eventlog.Entry, error) error) error {
	var failed error
	w := pageWalk{pageFile: r.pageFile, only: string(entriesBucket), from: position(after + 1)}
	w.visit = func(_ string, key, value []byte) bool {
		e, data, err := parseRecord(number(key), value)
		if err != nil {
			failed = fn(nil, fmt.Errorf("%w: %w", ErrDamaged, err))
		} else if r.kept(sel, e) {
			e.Data = append([]byte{}, data...)
			failed = fn(e, nil)
		}
		return failed == nil
	}
	w.damaged = func(place string) {
		if failed == nil {
			failed = fn(nil, fmt.Errorf("%w: %s", ErrDamaged, place))
		}
		w.done = failed != nil
	}
	if after+1 == 0 {
		return nil
	}
	err := w.run(ctx)
	if failed != nil {
		return failed
	}
	return err
}

// Since returns a position after which all entries not older than t lie, and no
// older one.
func (r *Reader) Since(t time.Time) (after uint64, err error) {
	last, err := r.first(&pageWalk{reverse: true})
	if err != nil || last == nil {
		return 0, err
	}
	low, high := uint64(0), last.Seq // what is at or below low is older, what is above high is not
	for low < high {
		middle := low + (high-low)/2 + 1
		e, err := r.first(&pageWalk{from: position(middle)})
		if err != nil {
			return 0, err
		}
		if e != nil && e.Time.Before(t) {
			low = min(e.Seq, high)
		} else {
			high = middle - 1
		}
	}
	return low, nil
}

// first returns the first entry that w visits, or nil, without its data.
func (r *Reader) first(w *pageWalk) (e *eventlog.Entry, err error) {
	w.only = string(entriesBucket)
	w.visit = func(_ string, key, value []byte) bool {
		e, _, err = parseRecord(number(key), value)
		return false
	}
	if failed := r.scan(context.Background(), w); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return e, nil
}

// Last returns the position after which the newest n entries lie that sel selects,
// or all if there are fewer. It passes over what is damaged.
func (r *Reader) Last(ctx context.Context, sel *eventlog.Selector, n int) (after uint64, err error) {
	w := pageWalk{pageFile: r.pageFile, only: string(entriesBucket), reverse: true, damaged: func(string) {}}
	w.visit = func(_ string, key, value []byte) bool {
		if after = number(key); n <= 0 {
			return false
		}
		after--
		if e, _, err := parseRecord(after+1, value); err == nil && r.kept(sel, e) {
			n--
		}
		return n > 0
	}
	return after, w.run(ctx)
}
