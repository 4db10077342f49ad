package sharedlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// An Engine is a list of records on a server that several nodes share. Its methods may
// be called at once. Each returns when its context ends.
//
// Errors other than those named leave open what has happened.
type Engine interface {
	// Head describes the list. Its Epoch is "" if there is none.
	Head(ctx context.Context) (Head, error)

	// Create makes an empty list, unless there is one.
	Create(ctx context.Context, epoch, settings string) error

	// Append adds a record at position after.Pos+1, if the list has this epoch and its
	// newest record is the one described by after. It returns when the server has
	// stored it as safely as it is configured to. tag is what the record is recognised
	// by, up to 64 bytes.
	//
	// ErrConflict means that the list's head is another; the records that have come
	// after it may be returned with it. ErrRefused, or an error that wraps
	// [eventlog.ErrFull], means that the server has not stored anything. frees is true for
	// a record that allows others to be deleted: a server that is full should take it.
	Append(ctx context.Context, epoch string, after Mark, tag string, record []byte, frees bool) (came []Record, err error)

	// Next returns records after a position, in order: at least the first that there is,
	// and no more than some MiB. It waits for about a second if there is none, and
	// returns none then.
	Next(ctx context.Context, after uint64) ([]Record, error)

	// Load returns the records at these positions, which rise; nil for those that are
	// not there.
	Load(ctx context.Context, positions []uint64) ([][]byte, error)

	// Delete removes records, never the newest. Some may be gone already.
	Delete(ctx context.Context, positions []uint64) error

	// Lease reports whether holder may clean up for some time: nobody else has, or
	// holder has already. It saves work and is not needed for anything to be right.
	Lease(ctx context.Context, holder string, ttl time.Duration) (bool, error)

	// Close ends the connections. Other methods then fail.
	Close()
}

// A Limiter is an [Engine] that takes records up to a size.
type Limiter interface {
	// MaxRecord is how many bytes a record may have. It is far more than one message
	// with all that belongs to it.
	MaxRecord() int
}

// largestFor returns how many bytes the parts of a record may have.
func largestFor(e Engine) int {
	if l, ok := e.(Limiter); ok {
		return l.MaxRecord() - headerBytes
	}
	return math.MaxInt
}

// A Claimer is an Engine that can let one node go first. Without it, a node that has a
// longer way to the server than others that write all the time would never be in time.
type Claimer interface {
	// Claim has Append of other nodes wait until this one has added a record, but no
	// longer than d. If another node has claimed the same, it comes first. It is a
	// matter of fairness; nothing else depends on it.
	Claim(ctx context.Context, d time.Duration) error
}

// Errors of an [Engine].
var (
	ErrConflict = errors.New("sharedlog: the list has another head")
	ErrRefused  = errors.New("sharedlog: refused")
)

// A Record has a place in the list, from 1.
type Record struct {
	Pos  uint64
	Data []byte
}

// A Mark describes the newest record of a list; it is zero if the list never had one.
type Mark struct {
	Pos uint64
	Tag string
}

// A Head is what an engine says of its list.
type Head struct {
	Epoch    string // chosen when the list was made
	Settings string // likewise
	Mark
}

// formatTag returns the tag of a record, which consists of a random number and of the
// position of the newest entry behind it.
func formatTag(nonce, seq uint64) string { return fmt.Sprintf("%016x-%d", nonce, seq) }

// parseTag is the reverse. The zero Mark has nonce 0.
func parseTag(tag string) (nonce, seq uint64, err error) {
	if tag == "" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(tag, "-")
	if nonce, err = strconv.ParseUint(a, 16, 64); err == nil {
		seq, err = strconv.ParseUint(b, 10, 64)
	}
	if err != nil {
		err = fmt.Errorf("%w: tag is %q", errRecord, tag)
	}
	return nonce, seq, err
}

// isRefused reports whether an engine says that it has not stored a record.
func isRefused(err error) bool {
	return errors.Is(err, ErrRefused) || errors.Is(err, eventlog.ErrFull)
}
