package durable

import (
	"testing"

	"github.com/weirstream/weir/hub"
)

// FuzzOffsetsAreReadAsWritten writes places and reads them, and reads any text: what
// is read must be written the same way again, or be a word for the start.
func FuzzOffsetsAreReadAsWritten(f *testing.F) {
	h, err := hub.New(hub.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	d := New(h, Options{Prefix: "/"})
	f.Add(uint64(0), uint64(0), "-1")
	f.Add(uint64(1), uint64(2), "0_0")
	f.Add(^uint64(0), uint64(3), "00000000000000000001_aaaaaaaa_00000000000000000002")
	f.Fuzz(func(t *testing.T, after, told uint64, text string) {
		want := place{after: after}
		if told > after {
			want.told = told
		}
		s := d.offset(place{after: after, told: told})
		if got, foreign, ok := d.parseOffset(s); got != want || foreign || !ok {
			t.Errorf("%+v is written %s and read %+v, %v, %v", want, s, got, foreign, ok)
		}
		if next := d.offset(place{after: after + 1}); after+1 > after && next <= s {
			t.Errorf("%s does not come before %s", s, next)
		}
		p, foreign, ok := d.parseOffset(text)
		if ok && !foreign && !p.start && p.told > p.after && d.offset(p) != text {
			t.Errorf("%q is read as %+v, which is written %s", text, p, d.offset(p))
		}
	})
}
