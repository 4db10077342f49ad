package bench

import "encoding/binary"

// A payload begins with fields of fixed width and is padded with x:
//
//	w1-3f9a-00000007-0000000000000042-1763693423000000000-xxxx…
//
// They are the tag of the run, the stream, the number in the stream and the time
// the message was due in nanoseconds since 1970. No byte of it needs an escape in
// JSON, in a form or in a URL.
const (
	tagAt    = 3
	streamAt = tagAt + 4 + 1
	seqAt    = streamAt + 8 + 1
	timeAt   = seqAt + 16 + 1
	stampLen = timeAt + 19 + 1
)

// probeStream marks messages that only find out who is subscribed.
const probeStream = 99_999_999

// A tag tells the messages of one run from those of others.
type tag [4]byte

// A message is what a payload says.
type message struct {
	stream int
	seq    uint64
	due    int64 // nanoseconds since 1970
	size   int   // of the payload as it arrived; -1 if it is part of something larger
}

// appendPayload appends a payload of size bytes, at least stampLen.
func appendPayload(dst []byte, t tag, m message) []byte {
	at := len(dst)
	dst = append(dst, "w1-"...)
	dst = append(dst, t[:]...)
	dst = append(dst, "-00000000-0000000000000000-0000000000000000000-"...)
	p := dst[at:]
	putDigits(p[streamAt:streamAt+8], uint64(m.stream))
	putDigits(p[seqAt:seqAt+16], m.seq)
	putDigits(p[timeAt:timeAt+19], uint64(m.due))
	for n := m.size - stampLen; n > 0; n -= len(padding) {
		dst = append(dst, padding[:min(n, len(padding))]...)
	}
	return dst
}

const padding = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// putDigits fills p with the last len(p) decimal digits of n.
func putDigits(p []byte, n uint64) {
	for i := len(p) - 1; i >= 0; i-- {
		p[i] = '0' + byte(n%10)
		n /= 10
	}
}

// parsePayload reads the fields that p begins with. It reports false if p is not
// a payload of the run.
//
// Hot path: once per delivery; no allocation, no loop over digits.
func parsePayload(p []byte, t tag) (m message, ok bool) {
	if len(p) < stampLen || p[0] != 'w' || p[1] != '1' || tag(p[tagAt:tagAt+4]) != t || !separated(p) {
		return m, false
	}
	stream, ok1 := parse8(p[streamAt:])
	high, ok2 := parse8(p[seqAt:])
	low, ok3 := parse8(p[seqAt+8:])
	t1, ok4 := parse8(p[timeAt:])
	t2, ok5 := parse8(p[timeAt+8:])
	t3, ok6 := parse3(p[timeAt+16:])
	m.stream = int(stream)
	m.seq = high*1e8 + low
	m.due = int64((t1*1e8+t2)*1e3 + t3)
	m.size = len(p)
	return m, ok1 && ok2 && ok3 && ok4 && ok5 && ok6
}

func separated(p []byte) bool {
	return p[tagAt-1] == '-' && p[streamAt-1] == '-' && p[seqAt-1] == '-' && p[timeAt-1] == '-' && p[stampLen-1] == '-'
}

// parse8 reads eight decimal digits at once: pairs, then fours, then eight.
func parse8(p []byte) (uint64, bool) {
	v := binary.LittleEndian.Uint64(p)
	const zeros, highs = 0x3030303030303030, 0xf0f0f0f0f0f0f0f0
	if v&highs != zeros || (v+0x0606060606060606)&highs != zeros {
		return 0, false
	}
	v -= zeros
	v = (v*10 + v>>8) & 0x00ff00ff00ff00ff
	v = (v*100 + v>>16) & 0x0000ffff0000ffff
	return (v*10000 + v>>32) & 0xffffffff, true
}

func parse3(p []byte) (uint64, bool) {
	a, b, c := p[0]-'0', p[1]-'0', p[2]-'0'
	return uint64(a)*100 + uint64(b)*10 + uint64(c), a < 10 && b < 10 && c < 10
}
