package bench

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var testTag = tag{'a', 'b', 'c', 'd'}

func payload(seq uint64, size int) string {
	return string(appendPayload(nil, testTag, message{stream: 7, seq: seq, due: 1763693423123456789, size: size}))
}

// scanAll gives text to a scanner in pieces.
func scanAll(s *scanner, text string, cut func(at int) bool) (list []message) {
	for from := 0; from < len(text); {
		to := from + 1
		for to < len(text) && !cut(to) {
			to++
		}
		for p := []byte(text[from:to]); ; {
			m, rest, ok := s.next(p)
			if !ok {
				break
			}
			list, p = append(list, m), rest
		}
		from = to
	}
	return list
}

func TestPayloadsSayWhatWasPut(t *testing.T) {
	for _, m := range []message{
		{0, 0, 0, stampLen}, {1, 2, 3, 128}, {99_999_999, 9_999_999_999_999_999, 9_223_372_036_854_775_807, 1000}, {12_345_678, 1_234_567_890_123_456, 1_763_693_423_987_654_321, 129},
	} {
		p := appendPayload(nil, testTag, m)
		got, ok := parsePayload(p, testTag)
		if !ok || got != m || len(p) != m.size {
			t.Errorf("%+v becomes %s (%d bytes) and %+v, %v", m, p, len(p), got, ok)
		}
		if _, ok := parsePayload(p, tag{}); ok {
			t.Errorf("%s is taken for the payload of another run", p)
		}
	}
}

// FuzzParsePayload: only what appendPayload writes is a payload.
func FuzzParsePayload(f *testing.F) {
	f.Add([]byte(payload(3, 60)))
	f.Add([]byte("w10abcd00000000000000000000000000000000000000000000000"))
	f.Add([]byte("w1-abcd-0000000:-0000000000000000-0000000000000000000-"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, ok := parsePayload(p, testTag)
		if !ok {
			return
		}
		again := appendPayload(nil, testTag, m)
		if !bytes.Equal(p[:stampLen], again[:stampLen]) {
			t.Errorf("%q reads as %+v, which writes %q", p, m, again)
		}
	})
}

func TestMessagesAreFoundHoweverReadsCutThem(t *testing.T) {
	a, b, c := payload(1, 80), payload(2, 100), payload(3, 80)
	long := strings.Repeat("long ", keepLine)
	for _, tt := range []struct {
		name, text string
		events     bool
		want       []uint64
		sizes      []int
		id         string
		gaps       uint32
	}{
		{"events", "retry: 2000\nid: e-0\n\nid: e-1\ndata: " + a + "\n\n: beat\nid: e-2\nevent: x\ndata:" + b + "\n\n", true, []uint64{1, 2}, []int{80, 100}, "e-2", 0},
		{"line ends of two bytes", "id: e-1\r\ndata: " + a + "\r\n\r\ndata: " + b + "\r\n\r\n", true, []uint64{1, 2}, []int{80, 100}, "e-1", 0},
		{"several data lines", "data: first\ndata: " + a + "\ndata: " + b + "\n\n", true, []uint64{1}, []int{80}, "", 0},
		{"unfinished event", "data: " + a + "\n\ndata: " + b + "\n", true, []uint64{1}, []int{80}, "", 0},
		{"json in an event", "data: {\"id\":\"e-1\",\"data\":\"" + a + "\"}\n\n", true, []uint64{1}, []int{-1}, "", 0},
		{"gap", "event: weir.gap\nid: e-9\ndata: {}\n\ndata: " + c + "\n\n", true, []uint64{3}, []int{80}, "e-9", 1},
		{"too long a line in between", "data: " + long + "\n\ndata: " + payload(5, 5000) + "\n\nid: x\n", true, []uint64{5}, []int{5000}, "x", 0},
		{"short one", "data: " + a[:70] + "\n\n", true, []uint64{1}, []int{70}, "", 0},
		{"not ours", "data: w1-zzzz" + a[7:] + "\n\ndata: hello\n\n", true, nil, nil, "", 0},
		{"lines", a + "\nhello\n" + b + "\n\n", false, []uint64{1, 2}, []int{-1, -1}, "", 0},
		{"json lines", "{\"ready\":{}}\n{\"id\":\"w1-\",\"data\":\"" + a + "\"}\n{\"data\":\"" + b + "\"}\n{\"da", false, []uint64{1, 2}, []int{-1, -1}, "", 0},
	} {
		for first := 0; first <= len(tt.text); first += 1 + first/200 {
			s := &scanner{tag: testTag, events: tt.events, wantID: true}
			var got []uint64
			var sizes []int
			for _, m := range scanAll(s, tt.text, func(at int) bool { return at == first || first == 0 }) {
				got, sizes = append(got, m.seq), append(sizes, m.size)
			}
			if !reflect.DeepEqual(got, tt.want) || !reflect.DeepEqual(sizes, tt.sizes) || string(s.id) != tt.id || s.gaps != tt.gaps {
				t.Fatalf("%s, cut at %d: messages %v of sizes %v, id %q, %d gaps; want %v of %v, %q, %d", tt.name, first, got, sizes, s.id, s.gaps, tt.want, tt.sizes, tt.id, tt.gaps)
			}
		}
	}
}

// FuzzScansAgree: how content is cut changes no message.
func FuzzScansAgree(f *testing.F) {
	f.Add("id: 1\ndata: "+payload(1, 60)+"\n\n:\ndata:"+payload(2, 60)+"\r\n\r\n", true, uint64(0x1111111111))
	f.Add("{\"data\":\""+payload(1, 60)+"\"}\n", false, uint64(7))
	f.Fuzz(func(t *testing.T, text string, events bool, cuts uint64) {
		one := &scanner{tag: testTag, events: events, wantID: true}
		two := &scanner{tag: testTag, events: events, wantID: true}
		a := fmt.Sprint(scanAll(one, text, whole), one.gaps, one.cutLen)
		b := fmt.Sprint(scanAll(two, text, func(at int) bool { return cuts>>(at%64)&1 == 1 }), two.gaps, two.cutLen)
		longID := strings.Contains(text, "id") && len(text) > keepLine
		if a != b || !longID && string(one.id) != string(two.id) {
			t.Errorf("in one piece %s, id %q\ncut %s, id %q", a, one.id, b, two.id)
		}
	})
}
