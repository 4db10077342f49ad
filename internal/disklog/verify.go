package disklog

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
)

// maxDamage is how many lines of a Report there are at most.
const maxDamage = 100

// A Report says what Verify has found.
type Report struct {
	Pages   int64 // in use, each of the size of the system's
	Entries int   // also those that no topic keeps any more
	Topics  int   // of which something is remembered
	Keys    int   // idempotency keys
	Values  int

	Damage []string // one line for each place, in the order of the file; the first 100
	More   int      // how many places there are besides
}

// Sound reports whether nothing is damaged.
func (r *Report) Sound() bool { return len(r.Damage) == 0 }

func (r *Report) damaged(format string, args ...any) {
	if len(r.Damage) < maxDamage {
		r.Damage = append(r.Damage, fmt.Sprintf(format, args...))
	} else {
		r.More++
	}
}

// Verify reads everything in the log of a directory, and changes nothing. It looks at
// every page, at the checksum and the fields of every record, at the order of
// positions and times, and at what the other buckets say of the entries; and has
// bbolt check the file. An error is not damage: the log could not be read, or ctx
// has ended.
func Verify(ctx context.Context, dir string, p Progress) (*Report, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("disklog: no log in %s: %w", dir, fs.ErrNotExist)
	}
	return verifyFile(ctx, path, p)
}

func verifyFile(ctx context.Context, path string, p Progress) (*Report, error) {
	db, err := openDB(path, true)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	v := &verifier{Reader: Reader{db: db}, report: new(Report), progress: p}
	if err := db.View(func(tx *bbolt.Tx) error { return v.pages(ctx, file, tx) }); err != nil {
		return nil, err
	}
	// The rest would follow wrong pages into the void.
	if v.report.Sound() {
		err = v.guard(func() error { return db.View(func(tx *bbolt.Tx) error { return v.deeper(ctx, tx) }) })
	}
	if err == nil {
		err = ctx.Err()
	}
	return v.report, err
}

// A verifier checks one file.
type verifier struct {
	Reader
	report   *Report
	progress Progress

	meta   map[string]uint64
	epoch  string
	format string

	last, lastKey   uint64 // positions of the last entry, and of the last idempotency key
	time, timeOfKey int64  // their times
	latest          uint64 // highest position in topics
}

// pages checks all pages and all records.
func (v *verifier) pages(ctx context.Context, file *os.File, tx *bbolt.Tx) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		v.report.damaged("the file has %d bytes, want at least %d", info.Size(), tx.Size())
	}
	v.meta = make(map[string]uint64)
	w, root := newPageWalk(ctx, file, tx)
	w.damaged, w.visit, w.progress = v.report.damaged, v.record, v.progress
	w.walk(root, "")
	v.report.Pages = w.used
	v.finish()
	return ctx.Err()
}

// record checks a key and its value.
func (v *verifier) record(bucket string, key, value []byte) {
	switch bucket {
	case string(entriesBucket):
		v.report.Entries++
		v.entry(key, value)
	case string(keysBucket):
		v.report.Keys++
		v.key(key, value)
	case string(topicsBucket):
		v.report.Topics++
		v.topic(key, value)
	case string(valuesBucket):
		v.report.Values++
		if len(key) == 0 || key[0] != 'v' {
			v.report.damaged("values: key %q does not begin with v", key)
		}
	case string(metaBucket):
		v.metaKey(key, value)
	}
}

func (v *verifier) entry(key, value []byte) {
	seq, ok := v.position("entries", key, v.last)
	if !ok {
		return
	}
	v.last = seq
	e, _, err := parseRecord(seq, value)
	if err != nil {
		v.report.damaged("entries: %v", err)
		return
	}
	for i, name := range e.Topics {
		if err := topic.Check(name); err != nil {
			v.report.damaged("entries: position %d: %v", seq, err)
		}
		if slices.Contains(e.Topics[:i], name) {
			v.report.damaged("entries: position %d: topic %q is there twice", seq, name)
		}
	}
	if at := e.Time.UnixNano(); at < v.time {
		v.report.damaged("entries: position %d: its time is before that of the entry before it", seq)
	} else {
		v.time = at
	}
}

// position reads a key that must be a position above last.
func (v *verifier) position(bucket string, key []byte, last uint64) (seq uint64, ok bool) {
	if len(key) != 8 {
		v.report.damaged("%s: key %x has %d bytes, want 8", bucket, key, len(key))
		return 0, false
	}
	if seq = number(key); seq <= last {
		v.report.damaged("%s: position %d follows %d", bucket, seq, last)
		return 0, false
	}
	return seq, true
}

func (v *verifier) key(key, value []byte) {
	seq, ok := v.position("keys", key, v.lastKey)
	if !ok {
		return
	}
	v.lastKey = seq
	if len(value) < 9 {
		v.report.damaged("keys: position %d has %d bytes, want at least 9", seq, len(value))
		return
	}
	if at := int64(number(value)); at < v.timeOfKey {
		v.report.damaged("keys: position %d: its time is before that of the one before it", seq)
	} else {
		v.timeOfKey = at
	}
}

func (v *verifier) topic(key, value []byte) {
	if err := topic.Check(string(key)); err != nil {
		v.report.damaged("topics: %v", err)
	}
	if len(value) != topicRowSize {
		v.report.damaged("topics: row of %q has %d bytes, want %d", key, len(value), topicRowSize)
		return
	}
	row := parseTopic(value)
	if row.gone > row.floor {
		v.report.damaged("topics: %q has lost position %d, but gave up only those to %d", key, row.gone, row.floor)
	}
	v.latest = max(v.latest, row.floor, row.forgot)
}

func (v *verifier) metaKey(key, value []byte) {
	switch string(key) {
	case string(epochKey):
		v.epoch = string(value)
	case string(formatKey):
		v.format = string(value)
	default:
		if len(value) != 8 {
			v.report.damaged("meta: %q has %d bytes, want 8", key, len(value))
		}
		v.meta[string(key)] = number(value)
	}
}

// finish checks what the buckets say of each other.
func (v *verifier) finish() {
	if !v.report.Sound() {
		return
	}
	if v.format != format {
		v.report.damaged("meta: format is %q, want %q", v.format, format)
	}
	if _, _, ok := eventlog.ParseID(eventlog.FormatID(v.epoch, 0)); !ok {
		v.report.damaged("meta: %q is not an epoch", v.epoch)
	}
	head := v.meta[string(headKey)]
	for _, c := range []struct {
		what string
		seq  uint64
	}{{"entries", v.last}, {"keys", v.lastKey}, {"topics", v.latest}} {
		if c.seq > head {
			v.report.damaged("%s: position %d is above the head, %d", c.what, c.seq, head)
		}
	}
	issued := max(head, v.meta[string(reservedKey)])
	for _, key := range [][]byte{forgottenKey, weakKey, memoryKey} {
		if seq := v.meta[string(key)]; seq > issued {
			v.report.damaged("meta: %s is %d, above the newest position issued, %d", key, seq, issued)
		}
	}
}

// deeper is for files whose pages are sound.
func (v *verifier) deeper(ctx context.Context, tx *bbolt.Tx) error {
	v.progress("structure", 0, 0)
	for err := range tx.Check() {
		v.report.damaged("structure: %v", err)
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			v.report.damaged("bucket %q is missing", name)
		}
	}
	if !v.report.Sound() {
		return nil
	}
	return v.keysOfEntries(ctx, tx)
}

// keysOfEntries checks that each idempotency key is that of its entry, if there is
// one: keys may be remembered for longer than entries are kept.
func (v *verifier) keysOfEntries(ctx context.Context, tx *bbolt.Tx) error {
	entries, n := tx.Bucket(entriesBucket), int64(0)
	return tx.Bucket(keysBucket).ForEach(func(k, b []byte) error {
		if n++; n%progressEvery == 0 {
			v.progress("keys", n, int64(v.report.Keys))
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		record := entries.Get(k)
		if record == nil {
			return nil
		}
		e, _, err := parseRecord(number(k), record)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, append(position(uint64(e.Time.UnixNano())), e.IdempotencyKey...)) {
			v.report.damaged("keys: position %d: key %q is not that of the entry, %q", e.Seq, b[8:], e.IdempotencyKey)
		}
		return nil
	})
}
