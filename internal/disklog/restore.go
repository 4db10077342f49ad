package disklog

import (
	"bytes"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
)

// restore fills the index from the file.
func (l *Log) restore() error {
	start := time.Now()
	m, err := readMeta(l.db)
	if err != nil {
		return err
	}
	if l.Index, err = eventlog.NewIndex(l.options.History, m.epoch, l, l.options.HotBytes); err != nil {
		return err
	}
	n := 0
	err = l.db.View(func(tx *bbolt.Tx) error {
		if n, err = l.restoreEntries(tx); err != nil {
			return err
		}
		if err := l.restoreKeys(tx); err != nil {
			return err
		}
		l.restoreValues(tx)
		return l.restoreTopics(tx)
	})
	if err != nil {
		return fmt.Errorf("disklog: read %s: %w", l.db.Path(), err)
	}
	if err := l.restoreHead(m); err != nil {
		return err
	}
	l.options.Logger.Info("log opened", "entries", n, "head", l.seq, "took", time.Since(start).Round(time.Millisecond))
	if n := len(m.losses); m.reserved > 0 && n > 0 && m.losses[n-1].hasInterval() {
		l.options.Logger.Warn("the log was not closed: messages of durability interval may be lost, and readers are told", "from", m.head, "to", l.seq)
	}
	return nil
}

// meta is the content of the meta bucket.
type meta struct {
	epoch                     string
	head, reserved, forgotten uint64
	losses                    losses
}

func readMeta(db *bbolt.DB) (m meta, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		m = parseMeta(tx.Bucket(metaBucket).Get)
		return nil
	})
	return m, err
}

func parseMeta(get func(key []byte) []byte) (m meta) {
	m.epoch = string(get(epochKey))
	for key, n := range map[*[]byte]*uint64{&headKey: &m.head, &reservedKey: &m.reserved, &forgottenKey: &m.forgotten} {
		*n = number(get(*key))
	}
	m.losses = parseLosses(get(lossesKey))
	return m
}

// restoreEntries puts all entries into the index, the newest with their data.
func (l *Log) restoreEntries(tx *bbolt.Tx) (n int, err error) {
	b := tx.Bucket(entriesBucket)
	hot := l.firstHot(b)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		seq := number(k)
		e, data, err := parseRecord(seq, v)
		if err != nil {
			return n, err
		}
		if seq >= hot {
			e.Data = append([]byte{}, data...)
		}
		l.Restore(e, len(data))
		l.seq, l.last = seq, max(l.last, e.Time.UnixNano())
		n++
	}
	return n, nil
}

// firstHot is the position from which on data is to be in memory.
func (l *Log) firstHot(b *bbolt.Bucket) uint64 {
	c := b.Cursor()
	left := l.options.HotBytes
	hot := uint64(1)
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if left -= int64(len(v)) + 384; left < 0 {
			break
		}
		hot = number(k)
	}
	return hot
}

func (l *Log) restoreKeys(tx *bbolt.Tx) error {
	return tx.Bucket(keysBucket).ForEach(func(k, v []byte) error {
		if len(v) < 8 {
			return fmt.Errorf("%w: idempotency key of position %d", errRecord, number(k))
		}
		l.RestoreKey(string(v[8:]), number(k), time.Unix(0, int64(number(v))))
		l.keys++
		return nil
	})
}

func (l *Log) restoreValues(tx *bbolt.Tx) {
	var puts []eventlog.Put
	_ = tx.Bucket(valuesBucket).ForEach(func(k, v []byte) error {
		puts = append(puts, eventlog.Put{Key: string(k[1:]), Value: append([]byte{}, v...)})
		return nil
	})
	l.RestoreValues(puts)
}

func (l *Log) restoreTopics(tx *bbolt.Tx) error {
	return tx.Bucket(topicsBucket).ForEach(func(k, v []byte) error {
		row := parseTopic(v)
		l.RestoreTopic(string(k), row.gone, row.floor, row.forgot)
		return nil
	})
}

// restoreHead sets the position from which to go on, and what may have been lost:
// after a crash, everything up to the last reserved position that was not yet to be
// on the disk; in any case, what was only in memory.
func (l *Log) restoreHead(m meta) error {
	l.seq = max(l.seq, m.head, m.reserved)
	before := m.losses.encode()
	if m.reserved > 0 {
		m.losses.end(l.seq, l.seq)
	}
	l.losses = m.losses.begin(&l.options)
	if m.reserved > 0 || !bytes.Equal(before, l.losses.encode()) {
		err := l.db.Update(func(tx *bbolt.Tx) error {
			t := transaction{tx: tx}
			t.putMeta(headKey, l.seq)
			t.putMeta(reservedKey, 0)
			t.put(tx.Bucket(metaBucket), lossesKey, l.losses.encode())
			return t.err
		})
		if err != nil {
			return err
		}
	}
	l.RestoreHead(l.seq, m.forgotten)
	l.RestoreLoss(l.losses.most(), l.losses.of)
	return nil
}
