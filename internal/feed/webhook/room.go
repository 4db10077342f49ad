package webhook

import (
	"io"
	"sync/atomic"
)

// atLeast is what a request holds besides its body, in bytes: so their number is
// bounded, too.
const atLeast = 4 << 10

// A room is the memory that all requests may hold.
type room struct {
	limit int64
	used  atomic.Int64
}

// A hold is what one request holds of a room. It counts its body as it arrives, so that
// one which announces much and sends nothing holds nothing.
type hold struct {
	io.ReadCloser // the body
	room          *room
	bytes         int64
	refused       bool // there was no room
}

func (h *hold) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if n > 0 && !h.take(int64(n)) {
		return 0, io.ErrShortBuffer
	}
	return n, err
}

func (h *hold) take(n int64) bool {
	if h.room.used.Add(n) > h.room.limit {
		h.room.used.Add(-n)
		h.refused = true
		return false
	}
	h.bytes += n
	return true
}

func (h *hold) release() {
	h.room.used.Add(-h.bytes)
	h.bytes = 0
}
