package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fields"
)

// An entry is stored as
//
//	crc      4 bytes   CRC-32C of the key and the rest, big endian
//	version  1 byte    1
//	flags    1 byte    1: state
//	time     8 bytes   nanoseconds since 1970, big endian
//	retry    uvarint   nanoseconds
//	topics   uvarint   how many, then each as a string
//	type, id, key, idempotency key   strings
//	data     the rest
//
// where a string is its length as a uvarint and its bytes. Its key in the bucket is
// its position in 8 bytes, big endian.
const recordVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("damaged record")

func appendRecord(b []byte, e *eventlog.Entry) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, recordVersion, flags(e))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time.UnixNano()))
	b = binary.AppendUvarint(b, uint64(e.Retry))
	b = binary.AppendUvarint(b, uint64(len(e.Topics)))
	for _, name := range e.Topics {
		b = fields.AppendString(b, name)
	}
	b = fields.AppendString(b, e.Type)
	b = fields.AppendString(b, e.ID)
	b = fields.AppendString(b, e.Key)
	b = fields.AppendString(b, e.IdempotencyKey)
	b = append(b, e.Data...)
	binary.BigEndian.PutUint32(b[start:], checksum(e.Seq, b[start:]))
	return b
}

// checksum is that of a record which is, or is to be, at seq: one that is found at
// another position is damaged.
func checksum(seq uint64, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(position(seq), castagnoli), castagnoli, b[4:])
}

const stateFlag = 1

func flags(e *eventlog.Entry) byte {
	if e.State {
		return stateFlag
	}
	return 0
}

// parseRecord returns the entry at seq without its data, and the data, which is a
// part of b.
func parseRecord(seq uint64, b []byte) (e *eventlog.Entry, data []byte, err error) {
	if len(b) < 14 || binary.BigEndian.Uint32(b) != checksum(seq, b) {
		return nil, nil, fmt.Errorf("%w at position %d: checksum", errRecord, seq)
	}
	if b[4] != recordVersion {
		return nil, nil, fmt.Errorf("%w at position %d: version %d, this program knows %d", errRecord, seq, b[4], recordVersion)
	}
	p := fields.Parser{Rest: b[14:]}
	e = &eventlog.Entry{Seq: seq, Time: time.Unix(0, int64(binary.BigEndian.Uint64(b[6:]))).UTC()}
	e.State = b[5]&stateFlag != 0
	e.Retry = time.Duration(p.Uvarint())
	n := p.Uvarint()
	if n > eventlog.MaxEntryTopics {
		p.Bad = true
	}
	for range min(n, eventlog.MaxEntryTopics) {
		e.Topics = append(e.Topics, p.String())
	}
	e.Type, e.ID, e.Key, e.IdempotencyKey = p.String(), p.String(), p.String(), p.String()
	if p.Bad || n == 0 {
		return nil, nil, fmt.Errorf("%w at position %d: its fields do not fit", errRecord, seq)
	}
	return e, p.Rest, nil
}

// parseEntry returns the entry with a copy of its data.
func parseEntry(seq uint64, b []byte) (*eventlog.Entry, error) {
	e, data, err := parseRecord(seq, b)
	if err == nil {
		e.Data = append([]byte(nil), data...)
	}
	return e, err
}

func position(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func number(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
