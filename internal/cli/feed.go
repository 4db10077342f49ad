package cli

import (
	"context"
	"errors"
	"io"
)

// Bounds of one batch. A batch that is waiting takes input until it reaches one
// of them; then the input waits.
const (
	maxBatchLines = 1024
	maxBatchBytes = 256 << 10
)

// maxLineBytes is the largest line pub reads: the largest message any server can
// be set to accept.
const maxLineBytes = 64 << 20

// A line is one message on its way.
type line struct {
	number int    // in the input, from 1
	json   []byte // one JSON object, without line end
	err    error  // in the last line: why the input ended
}

// A feed turns input into batches of messages. Lines that are there go out at
// once; while a batch is being published the next one collects, so that batches
// grow by themselves when input is faster than the server.
type feed struct {
	batches chan []line // closed at the end
	err     error       // why the input ended, nil if it was read in full; set before batches is closed
}

// startFeed reads r until it ends or ctx does. encode makes a JSON object of a
// line; it may return nil to leave the line out. Of the two goroutines one ends
// with the input or with ctx, and if the input blocks, with its next line; the
// other one when batches is closed, for which all batches must be received.
func startFeed(ctx context.Context, r io.Reader, encode func([]byte) ([]byte, error)) *feed {
	f := &feed{batches: make(chan []line)}
	in := make(chan line)
	go read(ctx, newLineReader(r, maxLineBytes), encode, in)
	go f.collect(ctx, in)
	return f
}

func read(ctx context.Context, lines *lineReader, encode func([]byte) ([]byte, error), in chan<- line) {
	for {
		text, err := lines.next()
		var json []byte
		if err == nil {
			if json, err = encode(text); json == nil && err == nil {
				continue
			}
		}
		select {
		case in <- line{lines.number, json, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (f *feed) collect(ctx context.Context, in <-chan line) {
	defer close(f.batches)
	var b []line
	var size int
	ended := ctx.Done()
	for in != nil || len(b) > 0 {
		from, to := in, f.batches
		if len(b) >= maxBatchLines || size >= maxBatchBytes {
			from = nil
		}
		if len(b) == 0 {
			to = nil
		}
		select {
		case l := <-from:
			if l.err != nil {
				f.end(l)
				in = nil
				continue
			}
			b, size = append(b, l), size+len(l.json)
		case to <- b:
			b, size = nil, 0
		case <-ended:
			f.err, in, ended = errInterrupted, nil, nil
		}
	}
}

func (f *feed) end(l line) {
	if !errors.Is(l.err, io.EOF) {
		f.err = &lineError{l.number, l.err}
	}
}
