package natslog

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// Delete implements [sharedlog.Engine].
func (e *Engine) Delete(ctx context.Context, positions []uint64) error {
	rest := slices.Sorted(slices.Values(positions))
	for len(rest) > 0 {
		info, err := e.info(ctx)
		if err != nil || info == nil {
			return err
		}
		for len(rest) > 0 && rest[0] < info.State.FirstSeq {
			rest = rest[1:] // gone already
		}
		n := run(rest, info.State.FirstSeq)
		if n < 2 {
			break
		}
		if err := e.api(ctx, "STREAM.PURGE."+e.stream, map[string]any{"seq": rest[n-1] + 1}, nil); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return each(len(rest), func(i int) error { return e.delete(ctx, rest[i]) })
}

// run returns how many positions there are from first on without a hole: the server
// deletes them, which nothing lies before, in one go.
func run(positions []uint64, first uint64) (n int) {
	for n < len(positions) && positions[n] == first+uint64(n) {
		n++
	}
	return n
}

// delete deletes one message, which may be gone.
func (e *Engine) delete(ctx context.Context, pos uint64) error {
	err := e.api(ctx, "STREAM.MSG.DELETE."+e.stream, map[string]any{"seq": pos, "no_erase": true}, nil)
	switch code(err) {
	case jetstream.JSErrCodeMessageNotFound, noSequence:
		return nil
	case deleteFailed:
		if text := err.Error(); strings.Contains(text, "no message found") || strings.Contains(text, "deleted message") {
			return nil
		}
	}
	return err
}

const (
	minBytes     = 1 << 20 // the least that a stream may be limited to
	reserveShare = 16      // one part of so many is for cleaning up
)

// A room is what is known of the space in a stream that has a limit. JetStream refuses
// records when a stream is full, also those that are needed to delete others. So this
// node refuses earlier.
type room struct {
	limit atomic.Int64 // bytes; 0 or less: none

	mu      sync.Mutex
	used    int64  // guarded by mu: bytes
	counted uint64 // guarded by mu: up to this position
}

// learn takes what the server says.
func (r *room) learn(info *jetstream.StreamInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit.Store(info.Config.MaxBytes)
	r.used, r.counted = int64(info.State.Bytes), info.State.LastSeq
}

// add counts a record.
func (r *room) add(pos uint64, bytes int) {
	if r.limit.Load() <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if pos > r.counted {
		r.counted, r.used = pos, r.used+int64(bytes)+overhead
	}
}

// has reports whether there is space for a record, as far as this node knows.
func (r *room) has(bytes int) bool {
	limit := r.limit.Load()
	if limit <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used+int64(bytes)+overhead <= limit-limit/reserveShare
}

// fits reports whether there is space for a record that does not make any.
func (e *Engine) fits(ctx context.Context, bytes int) bool {
	if e.room.has(bytes) {
		return true
	}
	if _, err := e.info(ctx); err != nil { // records may have been deleted, or the limit raised
		return true // the server will say
	}
	return e.room.has(bytes)
}
