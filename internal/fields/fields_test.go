package fields_test

import (
	"encoding/binary"
	"testing"

	"github.com/weirstream/weir/internal/fields"
)

func TestFieldsAreReadAsWritten(t *testing.T) {
	b := fields.AppendString([]byte{7}, "text")
	b = binary.BigEndian.AppendUint64(b, 1<<63+5)
	b = binary.AppendUvarint(b, 300)
	b = fields.AppendString(b, "")
	p := fields.Parser{Rest: append(b, "rest"...)}
	if one, text, large, small, none := p.Byte(), p.String(), p.Uint64(), p.Uvarint(), p.Bytes(); one != 7 || text != "text" || large != 1<<63+5 || small != 300 || none == nil || len(none) > 0 {
		t.Errorf("read %d %q %d %d %q", one, text, large, small, none)
	}
	if p.Bad || string(p.Rest) != "rest" {
		t.Errorf("bad is %v, the rest %q", p.Bad, p.Rest)
	}
}

func TestBytesCannotBeAppendedTo(t *testing.T) {
	p := fields.Parser{Rest: []byte{1, 'a', 1, 'b'}}
	_ = append(p.Bytes(), 'x')
	if got := p.String(); got != "b" {
		t.Errorf("the next field is %q, want b", got)
	}
}

// FuzzParserStaysWithinItsBytes takes fields off random bytes, in a random order.
func FuzzParserStaysWithinItsBytes(f *testing.F) {
	f.Add([]byte{1, 'a', 200, 1}, []byte{0, 1, 2, 3, 4})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, []byte{3, 4})
	f.Fuzz(func(t *testing.T, b, order []byte) {
		p := fields.Parser{Rest: b}
		for _, kind := range order {
			before, bad := len(p.Rest), p.Bad
			var n int
			switch kind % 4 {
			case 0:
				p.Byte()
			case 1:
				p.Uint64()
			case 2:
				n = len(p.Bytes())
			default:
				p.Uvarint()
			}
			if len(p.Rest) > before || n > before || bad && !p.Bad || p.Bad && len(p.Rest) > 0 {
				t.Fatalf("after kind %d: %d bytes of %d are left, bad %v", kind%4, len(p.Rest), before, p.Bad)
			}
		}
	})
}
