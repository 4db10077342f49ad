package disklog

import (
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
)

// store writes the entries behind and those of g in one transaction, and deletes
// some of what is no longer kept. It returns after fsync.
func (w *writer) store(g *group) error {
	start := time.Now()
	limit := max(buryAtLeast, 2*(len(w.behind)+len(g.entries)))
	if g.bury {
		limit = math.MaxInt // deleted means deleted
	}
	dead, topics := w.log.graves.take(limit)
	keys := 0
	reserved := w.reserved
	if g.weak && w.seq > reserved {
		reserved = w.seq + reserve
	}
	err := w.log.db.Update(func(tx *bbolt.Tx) error {
		t := transaction{tx: tx, entries: tx.Bucket(entriesBucket), topics: tx.Bucket(topicsBucket), keys: tx.Bucket(keysBucket)}
		t.entries.FillPercent = 0.95 // they come in order
		t.keys.FillPercent = 0.95
		t.putEntries(w, w.behind)
		t.putEntries(w, g.entries)
		t.putValues(g.puts)
		t.forget(g.forget)
		keys = t.expireKeys(w.last-int64(w.log.options.History.KeyWindow), w.keys+t.newKeys-w.log.options.History.MaxKeys)
		keys = w.keys + t.newKeys - keys
		t.bury(dead, topics)
		t.putMeta(headKey, w.seq)
		t.putMeta(reservedKey, reserved)
		t.putMeta(forgottenKey, w.log.Forgotten())
		return t.err
	})
	if err != nil {
		w.log.graves.putBack(dead, topics)
		return err
	}
	w.reserved, w.keys = reserved, keys
	w.lastSync.Store(int64(time.Since(start)))
	w.caughtUp()
	return nil
}

// A transaction writes to the buckets. After the first error, which it keeps, it
// does nothing.
type transaction struct {
	tx                    *bbolt.Tx
	entries, topics, keys *bbolt.Bucket
	newKeys               int
	err                   error
}

func (t *transaction) put(b *bbolt.Bucket, key, value []byte) {
	if t.err == nil {
		t.err = b.Put(key, value)
	}
}

func (t *transaction) delete(b *bbolt.Bucket, key []byte) {
	if t.err == nil {
		t.err = b.Delete(key)
	}
}

func (t *transaction) putMeta(key []byte, n uint64) { t.put(t.tx.Bucket(metaBucket), key, position(n)) }

// putEntries stores entries. The transaction holds on to the values until its end,
// so each record is a slice of its own.
func (t *transaction) putEntries(w *writer, es []*eventlog.Entry) {
	for _, e := range es {
		w.record = appendRecord(w.record[:0], e)
		key := position(e.Seq)
		t.put(t.entries, key, append([]byte(nil), w.record...))
		if e.IdempotencyKey != "" {
			t.put(t.keys, key, append(position(uint64(e.Time.UnixNano())), e.IdempotencyKey...))
			t.newKeys++
		}
	}
}

// putValues stores values under "v" and their key, because a key cannot be empty.
func (t *transaction) putValues(puts []eventlog.Put) {
	b := t.tx.Bucket(valuesBucket)
	for _, p := range puts {
		key := append([]byte("v"), p.Key...)
		if p.Value == nil {
			t.delete(b, key)
		} else {
			t.put(b, key, p.Value)
		}
	}
}

// forget notes that topics have nothing up to seq, also if other topics still keep
// some of it.
func (t *transaction) forget(topics map[string]uint64) {
	for name, seq := range topics {
		row := t.topic(name)
		row.forgot = max(row.forgot, seq)
		t.putTopic(name, row)
	}
}

// A topicRow is what is remembered of a topic: see eventlog.Index.RestoreTopic.
type topicRow struct{ gone, floor, forgot uint64 }

func (t *transaction) topic(name string) topicRow { return parseTopic(t.topics.Get([]byte(name))) }

func (t *transaction) putTopic(name string, r topicRow) {
	t.put(t.topics, []byte(name), append(append(position(r.gone), position(r.floor)...), position(r.forgot)...))
}

// topicRowSize is its size in the file.
const topicRowSize = 24

func parseTopic(v []byte) topicRow {
	if len(v) < topicRowSize {
		return topicRow{}
	}
	return topicRow{number(v), number(v[8:]), number(v[16:])}
}

// bury deletes entries, and rows of topics, and remembers what topics have lost. A
// topic gives entries up in order: with one, all before it, also those that other
// topics still keep.
func (t *transaction) bury(dead []grave, topics map[string]struct{}) {
	for name := range topics {
		t.delete(t.topics, []byte(name))
	}
	rows := make(map[string]topicRow)
	for _, g := range dead {
		key := position(g.seq)
		if e, _, err := parseRecord(g.seq, t.entries.Get(key)); err == nil {
			for _, name := range e.Topics {
				row := rows[name]
				row.floor = g.seq // they are sorted
				if g.lost {
					row.gone = g.seq
				}
				rows[name] = row
			}
		}
		t.delete(t.entries, key)
	}
	for name, row := range rows {
		before := t.topic(name)
		t.putTopic(name, topicRow{max(before.gone, row.gone), max(before.floor, row.floor), before.forgot})
	}
}

// expireKeys deletes idempotency keys of entries from before a time, and the oldest if
// there are too many. It returns how many; a backlog takes several transactions.
func (t *transaction) expireKeys(before int64, tooMany int) (n int) {
	c := t.keys.Cursor()
	limit := max(keysAtOnce, 2*t.newKeys)
	for k, v := c.First(); k != nil && t.err == nil && n < limit && (int64(number(v)) < before || n < tooMany); k, v = c.First() {
		t.err = c.Delete()
		n++
	}
	return n
}

// keysAtOnce is how many idempotency keys a transaction deletes at most, or twice as
// many as it stores.
const keysAtOnce = 1024

// sign notes a clean end: nothing was lost but what was only to be in memory.
func (w *writer) sign() error {
	return w.log.db.Update(func(tx *bbolt.Tx) error {
		t := transaction{tx: tx}
		t.putMeta(headKey, w.seq)
		t.putMeta(reservedKey, 0)
		w.losses.end(0, w.memory)
		t.put(tx.Bucket(metaBucket), lossesKey, w.losses.encode())
		return t.err
	})
}
