// Package fields writes and reads the fields of binary records: numbers, and texts with
// their length before them.
//
// What is read is untrusted: a [Parser] never reads beyond its bytes, and needs no
// memory that they do not have.
package fields

import "encoding/binary"

// AppendString appends the length of s, as [binary.AppendUvarint] does, and s.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A Parser takes fields off the front of Rest. After the first that does not fit, Bad
// is true, Rest is empty, and every field is zero. Its user may set Bad, too.
type Parser struct {
	Rest []byte
	Bad  bool
}

func (p *Parser) fail() { p.Rest, p.Bad = nil, true }

func (p *Parser) take(n uint64) []byte {
	if n > uint64(len(p.Rest)) {
		p.fail()
		return nil
	}
	b := p.Rest[:n:n]
	p.Rest = p.Rest[n:]
	return b
}

// Byte takes one byte.
func (p *Parser) Byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint64 takes eight bytes, the most significant first.
func (p *Parser) Uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint takes what [binary.AppendUvarint] writes.
func (p *Parser) Uvarint() uint64 {
	v, n := binary.Uvarint(p.Rest)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.Rest = p.Rest[n:]
	return v
}

// Bytes takes a length and so many bytes. They are a part of Rest, not nil unless it is bad.
func (p *Parser) Bytes() []byte { return p.take(p.Uvarint()) }

// String takes what [AppendString] writes.
func (p *Parser) String() string { return string(p.Bytes()) }
