package sse

import (
	"bytes"
	"fmt"
	"io"
)

const (
	readBytes     = 16 << 10
	maxEmptyReads = 100
)

// A Reader reads events from an [io.Reader], such as the body of a response.
type Reader struct {
	// Decoder does the work: set its fields before the first Next, and ask it for
	// LastEventID and Retry at any time. Leave its other methods alone.
	Decoder Decoder

	src  io.Reader
	buf  []byte
	rest []byte // the part of buf not yet decoded
	err  error  // what src ended with
}

// NewReader returns a Reader of r. It reads ahead, up to 16 KiB.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: r}
}

// Next returns the next event, as [Decoder.Feed] describes it; the caller owns
// its Data. It waits only for the bytes that complete the event.
//
// At the end of the stream the error is [io.EOF], also when it came amid a block:
// the block is dropped, as the standard asks. An event beyond Decoder.MaxEvent
// gives an error that wraps [ErrTooLarge]. Errors of the source come wrapped. All
// of them last until [Reader.Reset].
func (r *Reader) Next() (Event, error) {
	for {
		e, rest, ok := r.Decoder.next(r.rest)
		r.rest = rest
		if ok {
			e.Data = bytes.Clone(e.Data)
			return e, nil
		}
		if err := r.fill(); err != nil {
			return Event{}, err
		}
	}
}

// Reset makes r read the stream of a new connection from src. What
// [Decoder.Reset] keeps is kept.
func (r *Reader) Reset(src io.Reader) {
	r.src, r.rest, r.err = src, nil, nil
	r.Decoder.Reset()
}

// fill reads at least one byte into rest, or says why there is none.
func (r *Reader) fill() error {
	if r.Decoder.err != nil {
		return r.Decoder.err
	}
	if r.buf == nil {
		r.buf = make([]byte, readBytes)
	}
	for range maxEmptyReads {
		if r.err != nil {
			return r.err
		}
		n, err := r.src.Read(r.buf)
		r.rest, r.err = r.buf[:n], wrapRead(err)
		if n > 0 {
			return nil
		}
	}
	if r.err == nil {
		r.err = wrapRead(io.ErrNoProgress)
	}
	return r.err
}

func wrapRead(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("read event stream: %w", err)
}
