package sharedlog

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fields"
)

// A checkpoint is what a node that reads the list must know when records are missing
// from it: everything up to one record, but for the entries themselves.
type checkpoint struct {
	pos    uint64 // of that record in the list
	head   uint64 // position of the newest entry then
	time   int64  // of the newest entry, nanoseconds since 1970
	lost   uint64 // see state.lost
	forgot map[string]uint64
	eventlog.Snapshot
}

// A chunk is a part of a checkpoint, which may be too large for one record.
type chunk struct {
	id            uint64 // random, the same for all of a checkpoint
	number, count uint64
	pos           uint64 // of the checkpoint
	data          []byte
}

// chunkBytes is how large chunks are.
const chunkBytes = 256 << 10

func (c *chunk) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.id)
	for _, n := range [...]uint64{c.number, c.count, c.pos, uint64(len(c.data))} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, c.data...)
}

func (p *parser) chunk() chunk {
	return chunk{id: p.Uint64(), number: p.Uvarint(), count: p.Uvarint(), pos: p.Uvarint(), data: p.Bytes()}
}

// split cuts an encoded checkpoint into chunks.
func split(pos, id uint64, b []byte) (list []chunk) {
	count := (len(b) + chunkBytes - 1) / chunkBytes
	for i := range count {
		part := b[i*chunkBytes : min((i+1)*chunkBytes, len(b))]
		list = append(list, chunk{id, uint64(i), uint64(count), pos, part})
	}
	return list
}

// chunks are those of checkpoints that are not complete.
type chunks map[uint64][]chunk

// add returns the checkpoint that c completes, or nil.
func (cs chunks) add(c chunk) (*checkpoint, error) {
	list := append(cs[c.id], c)
	cs[c.id] = list
	if uint64(len(list)) < c.count {
		return nil, nil
	}
	delete(cs, c.id)
	var b []byte
	for i, c := range list {
		if c.number != uint64(i) { // one node has sent them in order, each once
			return nil, fmt.Errorf("%w: chunk %d of a checkpoint is in place %d", errRecord, c.number, i)
		}
		b = append(b, c.data...)
	}
	return parseCheckpoint(b)
}

// expire drops those of checkpoints before a record.
func (cs chunks) expire(pos uint64) {
	for id, list := range cs {
		if list[0].pos < pos {
			delete(cs, id)
		}
	}
}

// encode returns numbers as uvarints, counts before what they count, and times in 8
// bytes. Positions of kept entries are runs: how many are missing, how many follow.
func (c *checkpoint) encode() []byte {
	b := binary.AppendUvarint(nil, c.pos)
	b = binary.AppendUvarint(b, c.head)
	b = binary.BigEndian.AppendUint64(b, uint64(c.time))
	b = binary.AppendUvarint(b, c.lost)
	b = binary.AppendUvarint(b, c.Forgotten)
	b = appendRuns(b, c.Kept)
	b = binary.AppendUvarint(b, uint64(len(c.Topics)))
	for _, t := range c.Topics {
		b = fields.AppendString(b, t.Name)
		b = binary.AppendUvarint(b, t.Gone)
		b = binary.AppendUvarint(b, t.Floor)
	}
	b = binary.AppendUvarint(b, uint64(len(c.forgot)))
	for name, upTo := range c.forgot {
		b = binary.AppendUvarint(fields.AppendString(b, name), upTo)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Keys)))
	for _, k := range c.Keys {
		b = binary.AppendUvarint(fields.AppendString(b, k.Key), k.Seq)
		b = binary.BigEndian.AppendUint64(b, uint64(k.Time.UnixNano()))
	}
	for _, p := range c.Values {
		b = appendPut(b, p)
	}
	return b
}

func parseCheckpoint(b []byte) (*checkpoint, error) {
	p := newParser(b)
	c := &checkpoint{pos: p.Uvarint(), head: p.Uvarint(), time: int64(p.Uint64()), lost: p.Uvarint(), forgot: make(map[string]uint64)}
	c.Forgotten = p.Uvarint()
	c.Kept = p.runs()
	for n := p.Uvarint(); n > 0 && !p.Bad; n-- {
		c.Topics = append(c.Topics, eventlog.TopicState{Name: p.String(), Gone: p.Uvarint(), Floor: p.Uvarint()})
	}
	for n := p.Uvarint(); n > 0 && !p.Bad; n-- {
		name := p.String()
		c.forgot[name] = p.Uvarint()
	}
	for n := p.Uvarint(); n > 0 && !p.Bad; n-- {
		k := eventlog.KeyState{Key: p.String(), Seq: p.Uvarint()}
		k.Time = time.Unix(0, int64(p.Uint64())).UTC()
		c.Keys = append(c.Keys, k)
	}
	for len(p.Rest) > 0 && !p.Bad {
		if p.Byte() != putPart {
			p.Bad = true
		}
		c.Values = append(c.Values, eventlog.Put{Key: p.String(), Value: p.copy()})
	}
	if p.Bad {
		return nil, fmt.Errorf("%w: the fields of a checkpoint do not fit", errRecord)
	}
	return c, nil
}

func appendRuns(b []byte, seqs []uint64) []byte {
	var runs []uint64
	next := uint64(1)
	for i := 0; i < len(seqs); {
		n := i + 1
		for n < len(seqs) && seqs[n] == seqs[n-1]+1 {
			n++
		}
		runs = append(runs, seqs[i]-next, uint64(n-i))
		next, i = seqs[n-1]+1, n
	}
	b = binary.AppendUvarint(b, uint64(len(runs)/2))
	for _, n := range runs {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (p *parser) runs() (seqs []uint64) {
	next := uint64(1)
	for n := p.Uvarint(); n > 0 && !p.Bad; n-- {
		next += p.Uvarint()
		count := p.Uvarint()
		if count > maxKept-uint64(len(seqs)) {
			p.Rest, p.Bad = nil, true
			return nil
		}
		for range count {
			seqs = append(seqs, next)
			next++
		}
	}
	return seqs
}

// maxKept bounds what a damaged checkpoint can make us allocate.
const maxKept = 1 << 28
