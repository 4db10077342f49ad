package sharedlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fields"
)

// A record of the list is
//
//	crc      4 bytes  CRC-32C of the position in 8 bytes and the rest, big endian
//	version  1 byte   1
//	nonce    8 bytes  random; with head it is the tag
//	before   8 bytes  nonce of the record before it; 0 if there never was one
//	head     uvarint  position of the newest entry, as of this record
//	time     8 bytes  of its entries, nanoseconds since 1970, big endian
//	parts
//
// where a part is its kind (1 byte), and then, with strings and bytes after their
// length as a uvarint,
//
//	1 entry   its position is that of the entry before it and one more; the last is at head
//	2 moved   position (uvarint), time (8 bytes), entry: stands here from now on
//	3 put     key, value
//	4 delete  key of a value
//	5 forget  topic, position (uvarint)
//	6 jump    position (uvarint): all up to it may be lost
//	7 chunk   id (8 bytes), number, count, position of the list (uvarints), bytes
//
// and an entry is flags (1: state), retry in nanoseconds, topics after their number,
// type, id, key, idempotency key and data.
type record struct {
	nonce, before uint64
	head          uint64
	time          int64
	entries       []*eventlog.Entry
	moved         []*eventlog.Entry // with positions and times
	puts          []eventlog.Put
	forgets       []forget
	jump          uint64 // 0: none
	chunks        []chunk
}

// A forget drops what is kept of a topic up to a position.
type forget struct {
	topic string
	upTo  uint64
}

const recordVersion = 1

const (
	entryPart = 1 + iota
	movedPart
	putPart
	deletePart
	forgetPart
	jumpPart
	chunkPart
)

const stateFlag = 1

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errRecord  = errors.New("damaged record")
)

func (r *record) tag() string { return formatTag(r.nonce, r.head) }

// encode returns the record for a position of the list.
func (r *record) encode(pos uint64) []byte {
	b := make([]byte, 4, headerBytes+r.size())
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint64(b, r.nonce)
	b = binary.BigEndian.AppendUint64(b, r.before)
	b = binary.AppendUvarint(b, r.head)
	b = binary.BigEndian.AppendUint64(b, uint64(r.time))
	for _, e := range r.entries {
		b = appendEntry(append(b, entryPart), e)
	}
	for _, e := range r.moved {
		b = binary.AppendUvarint(append(b, movedPart), e.Seq)
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time.UnixNano()))
		b = appendEntry(b, e)
	}
	for _, p := range r.puts {
		b = appendPut(b, p)
	}
	for _, f := range r.forgets {
		b = binary.AppendUvarint(fields.AppendString(append(b, forgetPart), f.topic), f.upTo)
	}
	if r.jump > 0 {
		b = binary.AppendUvarint(append(b, jumpPart), r.jump)
	}
	for i := range r.chunks {
		b = r.chunks[i].append(append(b, chunkPart))
	}
	binary.BigEndian.PutUint32(b, checksum(pos, b))
	return b
}

// Bytes that parts take beside what is in them, at most.
const (
	headerBytes = 64
	entryBytes  = 64
	topicBytes  = 4
	putBytes    = 16
	forgetBytes = 16
	partBytes   = 64 // chunk
)

// size is how much room the parts but forgets take, at most.
func (r *record) size() (n int) {
	for _, e := range r.entries {
		n += entrySize(e)
	}
	for _, e := range r.moved {
		n += entrySize(e)
	}
	for _, p := range r.puts {
		n += putBytes + len(p.Key) + len(p.Value)
	}
	for i := range r.chunks {
		n += partBytes + len(r.chunks[i].data)
	}
	return n
}

func entrySize(e *eventlog.Entry) int {
	n := entryBytes + len(e.Type) + len(e.ID) + len(e.Key) + len(e.IdempotencyKey) + len(e.Data)
	for _, name := range e.Topics {
		n += topicBytes + len(name)
	}
	return n
}

// checksum is that of a record which is at pos: one that is found elsewhere is damaged.
func checksum(pos uint64, b []byte) uint32 {
	sum := crc32.Checksum(binary.BigEndian.AppendUint64(nil, pos), castagnoli)
	return crc32.Update(sum, castagnoli, b[4:])
}

func appendEntry(b []byte, e *eventlog.Entry) []byte {
	flags := byte(0)
	if e.State {
		flags = stateFlag
	}
	b = binary.AppendUvarint(append(b, flags), uint64(e.Retry))
	b = binary.AppendUvarint(b, uint64(len(e.Topics)))
	for _, name := range e.Topics {
		b = fields.AppendString(b, name)
	}
	for _, s := range [...]string{e.Type, e.ID, e.Key, e.IdempotencyKey} {
		b = fields.AppendString(b, s)
	}
	return append(binary.AppendUvarint(b, uint64(len(e.Data))), e.Data...)
}

func appendPut(b []byte, p eventlog.Put) []byte {
	if p.Value == nil {
		return fields.AppendString(append(b, deletePart), p.Key)
	}
	b = fields.AppendString(append(b, putPart), p.Key)
	return append(binary.AppendUvarint(b, uint64(len(p.Value))), p.Value...)
}

// parseRecord reads the record at pos. Data of entries, and chunks, are parts of b.
func parseRecord(pos uint64, b []byte) (*record, error) {
	if len(b) < 5 || binary.BigEndian.Uint32(b) != checksum(pos, b) {
		return nil, fmt.Errorf("%w %d: checksum", errRecord, pos)
	}
	if b[4] != recordVersion {
		return nil, fmt.Errorf("%w %d: version %d, this program knows %d", errRecord, pos, b[4], recordVersion)
	}
	p := newParser(b[5:])
	r := &record{nonce: p.Uint64(), before: p.Uint64(), head: p.Uvarint(), time: int64(p.Uint64())}
	for len(p.Rest) > 0 && !p.Bad {
		p.part(r)
	}
	if p.Bad || uint64(len(r.entries)) > r.head {
		return nil, fmt.Errorf("%w %d: its fields do not fit", errRecord, pos)
	}
	for i, e := range r.entries {
		e.Seq, e.Time = r.head-uint64(len(r.entries)-1-i), time.Unix(0, r.time).UTC()
	}
	return r, nil
}

// part reads the next part into r.
func (p *parser) part(r *record) {
	switch kind := p.Byte(); kind {
	case entryPart:
		r.entries = append(r.entries, p.entry())
	case movedPart:
		seq, at := p.Uvarint(), int64(p.Uint64())
		e := p.entry()
		e.Seq, e.Time = seq, time.Unix(0, at).UTC()
		r.moved = append(r.moved, e)
	case putPart:
		r.puts = append(r.puts, eventlog.Put{Key: p.String(), Value: p.copy()})
	case deletePart:
		r.puts = append(r.puts, eventlog.Put{Key: p.String()})
	case forgetPart:
		r.forgets = append(r.forgets, forget{p.String(), p.Uvarint()})
	case jumpPart:
		r.jump = p.Uvarint()
	case chunkPart:
		r.chunks = append(r.chunks, p.chunk())
	default:
		p.Bad = true
	}
}

func (p *parser) entry() *eventlog.Entry {
	e := new(eventlog.Entry)
	e.State = p.Byte()&stateFlag != 0
	e.Retry = time.Duration(p.Uvarint())
	n := p.Uvarint()
	if n == 0 || n > eventlog.MaxEntryTopics {
		p.Bad = true
	}
	for range min(n, eventlog.MaxEntryTopics) {
		e.Topics = append(e.Topics, p.String())
	}
	e.Type, e.ID, e.Key, e.IdempotencyKey = p.String(), p.String(), p.String(), p.String()
	e.Data = p.Bytes()
	return e
}

// A parser takes fields of records off the front of its bytes.
type parser struct{ fields.Parser }

func newParser(b []byte) *parser { return &parser{fields.Parser{Rest: b}} }

// copy is Bytes for what may stay in memory for longer than the record.
func (p *parser) copy() []byte { return append([]byte{}, p.Bytes()...) }
