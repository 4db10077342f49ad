package disklog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	return verifyFile(ctx, filepath.Join(dir, FileName), p)
}

func verifyFile(ctx context.Context, path string, p Progress) (*Report, error) {
	r, err := openPages(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	v := &verifier{Reader: r, report: new(Report), progress: p, meta: make(map[string]uint64)}
	if err := v.readAll(ctx); err != nil {
		return nil, err
	}
	if v.report.Sound() { // else bbolt would follow wrong pages into the void
		err = r.db.View(func(tx *bbolt.Tx) error { return v.deeper(ctx, tx) })
	}
	return v.report, errors.Join(err, ctx.Err())
}

// A verifier checks one file.
type verifier struct {
	*Reader
	report   *Report
	progress Progress

	meta          map[string]uint64
	epoch, format string

	last, lastKey   uint64 // positions of the last entry, and of the last idempotency key
	time, timeOfKey int64  // their times
	latest          uint64 // highest position in topics
}

// readAll checks all pages and all records.
func (v *verifier) readAll(ctx context.Context) error {
	info, err := v.file.Stat()
	if err != nil {
		return err
	}
	if want := int64(v.pages) * v.pageSize; info.Size() < want {
		v.report.damaged("the file has %d bytes, want at least %d", info.Size(), want)
	}
	w := pageWalk{pageFile: v.pageFile}
	w.damaged = func(place string) { v.report.damaged("%s", place) }
	w.visit = func(bucket string, key, value []byte) bool {
		v.record(bucket, key, value)
		return true
	}
	w.turn = func() { v.progress("pages", w.used, int64(w.pages)) }
	err = w.run(ctx)
	v.report.Pages = w.used
	v.finish()
	return err
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
	seq, ok := v.position("entries", key)
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

// position reads a key that must be a position. The walk has checked the order.
func (v *verifier) position(bucket string, key []byte) (seq uint64, ok bool) {
	if len(key) != 8 {
		v.report.damaged("%s: key %x has %d bytes, want 8", bucket, key, len(key))
		return 0, false
	}
	if seq = number(key); seq == 0 {
		v.report.damaged("%s: a position is 0", bucket)
	}
	return seq, seq > 0
}

func (v *verifier) key(key, value []byte) {
	seq, ok := v.position("keys", key)
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
	case string(lossesKey):
		if !json.Valid(value) {
			v.report.damaged("meta: losses are %.64q, want JSON", value)
		}
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
	if seq := v.meta[string(forgottenKey)]; seq > issued {
		v.report.damaged("meta: %s is %d, above the newest position issued, %d", forgottenKey, seq, issued)
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
