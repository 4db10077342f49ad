package durable

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weirstream/weir/internal/problem"
)

// A place is where a reader stands: it has seen everything up to a position, and
// knows that some of it, up to another, is lost. The second counts only where it is
// higher: a reader that begins at what is kept after a crash knows of a hole ahead.
type place struct {
	after uint64
	told  uint64
	start bool // the reader begins with what is kept, whatever that is
}

// Words that a client may send as an offset.
const (
	wordStart = "-1"
	wordNow   = "now"
)

// Lengths of the parts of an offset.
const (
	digits   = 20 // of a position
	epochLen = 8
)

// offset returns what clients know a place by. It sorts like the positions do:
//
//	00000000000000001042_k3v7qa2m
//	00000000000000001042_k3v7qa2m_00000000000000002000
//
// The log's epoch tells the offsets of a log that has lost everything from those of
// its successor; the second position is that of the losses that are known.
func (h *Handler) offset(p place) string {
	if p.told > p.after {
		return fmt.Sprintf("%0*d_%s_%0*d", digits, p.after, h.hub.Log().Epoch(), digits, p.told)
	}
	return fmt.Sprintf("%0*d_%s", digits, p.after, h.hub.Log().Epoch())
}

// parseOffset reads an offset. Zeros alone are the start, in any number: clients
// know that form from other servers. foreign is true for one of another log.
func (h *Handler) parseOffset(s string) (p place, foreign, ok bool) {
	parts := strings.Split(s, "_")
	if s != "" && strings.Trim(s, "0_") == "" && parts[0] != "" {
		return place{start: true}, false, true
	}
	if len(parts) != 2 && len(parts) != 3 || !isEpoch(parts[1]) {
		return place{}, false, false
	}
	if p.after, ok = position(parts[0]); ok && len(parts) == 3 {
		p.told, ok = position(parts[2])
	}
	return p, ok && parts[1] != h.hub.Log().Epoch(), ok
}

func position(s string) (uint64, bool) {
	if len(s) != digits || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func isEpoch(s string) bool {
	return len(s) == epochLen && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// badOffset is the problem with an offset of a request.
func badOffset(name, s string) problem.Document {
	return problem.BadRequest("bad_offset", name+" is "+problem.Quote(s)+": want one that the server has given, or -1, or now")
}
