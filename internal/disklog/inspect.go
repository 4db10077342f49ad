package disklog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
)

// ErrDamaged means that the file contradicts itself. [Verify] tells where.
var ErrDamaged = errors.New("disklog: the file is damaged")

// A Progress is told now and then how far something has come. total is 0 if it is
// not known.
type Progress func(step string, done, total int64)

// progressEvery is the number of records between two calls of a Progress.
const progressEvery = 1024

// A Reader reads a log that no process has open to write, without changing it: not
// even what no topic keeps any more is deleted. As long as it is open, the log
// cannot be opened otherwise. Its methods may be called at once.
type Reader struct {
	db   *bbolt.DB
	meta meta
}

// OpenReader opens the log in a directory. [ErrInUse] means that another process
// has it open, an error that wraps [fs.ErrNotExist] that there is none.
func OpenReader(dir string) (*Reader, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("disklog: no log in %s: %w", dir, err)
	}
	db, err := openDB(path, true)
	if err != nil {
		return nil, err
	}
	r := &Reader{db: db}
	if err := r.guard(r.readMeta); err != nil {
		db.Close()
		return nil, fmt.Errorf("disklog: open %s: %w", path, err)
	}
	return r, nil
}

func (r *Reader) readMeta() error {
	found, err := readFormat(r.db)
	if err == nil && found != format {
		err = fmt.Errorf("its format is %q, this program knows %q", found, format)
	}
	if err == nil {
		r.meta, err = readMeta(r.db)
	}
	return err
}

// Close lets others open the log.
func (r *Reader) Close() error { return r.db.Close() }

// Epoch names the log's numbering: see [eventlog.Log].
func (r *Reader) Epoch() string { return r.meta.epoch }

// guard calls fn, which reads the file, and makes an error of what bbolt does with
// pages that are damaged: it panics, or reads where there is no memory.
func (r *Reader) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

// A view is the log within one transaction.
type view struct{ entries, topics, values, keys *bbolt.Bucket }

func (r *Reader) view(fn func(tx *bbolt.Tx, v view) error) error {
	err := r.guard(func() error {
		return r.db.View(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if tx.Bucket(name) == nil {
					return fmt.Errorf("%w: bucket %q is missing", ErrDamaged, name)
				}
			}
			return fn(tx, view{tx.Bucket(entriesBucket), tx.Bucket(topicsBucket), tx.Bucket(valuesBucket), tx.Bucket(keysBucket)})
		})
	})
	if errors.Is(err, errRecord) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// keeps reports whether a topic with this row keeps e. Of a state whose retention is
// over it may be the value before the last, if another topic keeps that.
func (t topicRow) keeps(e *eventlog.Entry) bool {
	return e.Seq > max(t.floor, t.forgot) || e.State && e.Seq > t.forgot
}

// kept reports whether a topic that sel selects keeps e.
func (v view) kept(sel *eventlog.Selector, e *eventlog.Entry) bool {
	for _, name := range e.Topics {
		if sel.Match(name) && parseTopic(v.topics.Get([]byte(name))).keeps(e) {
			return true
		}
	}
	return false
}

// Entries calls fn for every entry that a topic selected by sel keeps, in order,
// from the first with a position above after on, until fn returns an error or ctx
// ends. fn owns the entry. For a record that is damaged it gets an error instead.
func (r *Reader) Entries(ctx context.Context, sel *eventlog.Selector, after uint64, fn func(*eventlog.Entry, error) error) error {
	p := batch{sel: sel, after: after}
	for !p.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.items = p.items[:0]
		err := r.view(func(_ *bbolt.Tx, v view) error { return p.fill(v) })
		for _, it := range p.items {
			if err := fn(it.entry, it.err); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A batch is what Entries holds in memory at a time.
type batch struct {
	sel   *eventlog.Selector
	after uint64 // position up to which was looked
	ended bool
	items []item
}

type item struct {
	entry *eventlog.Entry
	err   error
}

// What a batch holds about, and how many records it looks at.
const (
	batchEntries = 256
	batchBytes   = 1 << 20
	batchLooks   = 4096
)

func (p *batch) fill(v view) error {
	c := v.entries.Cursor()
	size, looks := 0, 0
	for k, b := c.Seek(position(p.after + 1)); k != nil; k, b = c.Next() {
		seq := number(k)
		if seq <= p.after {
			return fmt.Errorf("%w: position %d after %d", ErrDamaged, seq, p.after)
		}
		p.after = seq
		e, data, err := parseRecord(seq, b)
		switch {
		case err != nil:
			p.items = append(p.items, item{err: err})
		case v.kept(p.sel, e):
			e.Data = append([]byte{}, data...)
			p.items, size = append(p.items, item{entry: e}), size+len(data)
		}
		if looks++; looks >= batchLooks || len(p.items) >= batchEntries || size >= batchBytes {
			return nil
		}
	}
	p.ended = true
	return nil
}

// Since returns a position after which all entries not older than t lie, and no
// older one.
func (r *Reader) Since(t time.Time) (after uint64, err error) {
	err = r.view(func(_ *bbolt.Tx, v view) error {
		c := v.entries.Cursor()
		last, _ := c.Last()
		low, high := uint64(0), number(last) // what is at or below low is older, what is above high is not
		for low < high {
			middle := low + (high-low)/2 + 1
			k, b := c.Seek(position(middle))
			e, _, err := parseRecord(number(k), b)
			if err != nil {
				return err
			}
			if e.Time.Before(t) {
				low = min(max(e.Seq, middle), high)
			} else {
				high = middle - 1
			}
		}
		after = low
		return nil
	})
	return after, err
}

// Last returns the position after which the newest n entries lie that sel selects,
// or all if there are fewer.
func (r *Reader) Last(ctx context.Context, sel *eventlog.Selector, n int) (after uint64, err error) {
	err = r.view(func(_ *bbolt.Tx, v view) error {
		c := v.entries.Cursor()
		k, b := c.Last()
		after = number(k)
		for ; k != nil && n > 0; k, b = c.Prev() {
			// One that is damaged is met again by Entries.
			if e, _, err := parseRecord(number(k), b); err == nil && v.kept(sel, e) {
				n--
			}
			after = number(k) - 1
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	return after, err
}
