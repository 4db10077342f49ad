package disklog

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// A pageWalk visits the pages of a file without trusting them. bbolt reads a file
// through a map of memory, and a page number or a length that is wrong ends the
// program; what a walk has found sound can be given to bbolt.
//
// A page is a header of 16 bytes (its number in 8, flags in 2, the number of elements
// in 2, the number of further pages that belong to it in 4), the elements of 16
// bytes each, and the keys and values, in the byte order of the machine.
//
// Source: go.etcd.io/bbolt v1.5.0, internal/common.
type pageWalk struct {
	file     io.ReaderAt
	pageSize int64
	limit    uint64          // number of pages
	seen     []uint64        // a bit for each page
	used     int64           // how many bits are set
	ctx      context.Context // of the walk
	progress Progress

	damaged func(format string, args ...any)
	visit   func(bucket string, key, value []byte) // valid until it returns
}

const (
	headerSize  = 16
	elementSize = 16
	branchFlag  = 0x01
	leafFlag    = 0x02
	bucketFlag  = 0x01 // of an element: its value is a bucket
)

// newPageWalk prepares a walk through the pages that tx sees.
func newPageWalk(ctx context.Context, file io.ReaderAt, tx *bbolt.Tx) (w *pageWalk, root uint64) {
	w = &pageWalk{file: file, pageSize: int64(tx.DB().Info().PageSize), ctx: ctx}
	w.limit = uint64(tx.Size() / w.pageSize)
	w.seen = make([]uint64, w.limit/64+1)
	return w, uint64(tx.Cursor().Bucket().Root())
}

// A page as it is in the file.
type page struct {
	id     uint64
	flags  uint16
	count  int
	bytes  []byte // all of it, with the header
	bucket string // "" for the list of buckets
}

// walk visits a page and all below it, in order.
func (w *pageWalk) walk(id uint64, bucket string) {
	if w.ctx.Err() != nil {
		return
	}
	p, err := w.read(id)
	if err != nil {
		w.damaged("page %d%s: %v", id, of(bucket), err)
		return
	}
	w.progress("pages", w.used, int64(w.limit))
	p.bucket = bucket
	switch p.flags {
	case branchFlag:
		w.branch(p)
	case leafFlag:
		w.leaf(p)
	default:
		w.damaged("page %d%s: flags are %#x, want %#x or %#x", id, of(bucket), p.flags, branchFlag, leafFlag)
	}
}

func of(bucket string) string {
	if bucket == "" {
		return ""
	}
	return fmt.Sprintf(" of bucket %q", bucket)
}

// read reads a page, which must be in use only once.
func (w *pageWalk) read(id uint64) (*page, error) {
	if id < 2 || id >= w.limit {
		return nil, fmt.Errorf("is not from 2 to %d", w.limit-1)
	}
	head := make([]byte, headerSize)
	if _, err := w.file.ReadAt(head, int64(id)*w.pageSize); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	more := uint64(binary.NativeEndian.Uint32(head[12:]))
	if got := binary.NativeEndian.Uint64(head); got != id {
		return nil, fmt.Errorf("says that it is page %d", got)
	}
	if id+more >= w.limit {
		return nil, fmt.Errorf("goes on for %d pages, and %d is the last", more, w.limit-1)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i/64]>>(i%64)&1 != 0 {
			return nil, fmt.Errorf("page %d is in use twice", i)
		}
		w.seen[i/64] |= 1 << (i % 64)
		w.used++
	}
	p := parsePage(head)
	p.bytes = make([]byte, int64(1+more)*w.pageSize)
	if _, err := w.file.ReadAt(p.bytes, int64(id)*w.pageSize); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return p, nil
}

// parsePage reads a header. b may be longer.
func parsePage(b []byte) *page {
	return &page{
		id: binary.NativeEndian.Uint64(b), flags: binary.NativeEndian.Uint16(b[8:]),
		count: int(binary.NativeEndian.Uint16(b[10:])), bytes: b,
	}
}

// element returns element i as four numbers of 4 bytes, and what begins with it.
func (p *page) element(i int) (e [4]uint32, rest []byte, ok bool) {
	at := headerSize + elementSize*i
	if at+elementSize > len(p.bytes) {
		return e, nil, false
	}
	rest = p.bytes[at:]
	for j := range e {
		e[j] = binary.NativeEndian.Uint32(rest[4*j:])
	}
	return e, rest, true
}

// branch visits the pages below a page. Its elements are the place of a key, its
// length, and a page number.
func (w *pageWalk) branch(p *page) {
	for i := range p.count {
		e, rest, ok := p.element(i)
		if !ok || uint64(e[0])+uint64(e[1]) > uint64(len(rest)) {
			w.damaged("page %d%s: element %d is outside the page", p.id, of(p.bucket), i)
			return
		}
		w.walk(binary.NativeEndian.Uint64(rest[8:]), p.bucket)
	}
}

// leaf visits keys and values. The elements of the page are flags, the place of a
// key, its length, and that of the value behind it.
func (w *pageWalk) leaf(p *page) {
	for i := range p.count {
		e, rest, ok := p.element(i)
		key, value := uint64(e[1]), uint64(e[1])+uint64(e[2])
		end := value + uint64(e[3])
		switch {
		case !ok || end > uint64(len(rest)):
			w.damaged("page %d%s: element %d is outside the page", p.id, of(p.bucket), i)
			return
		case e[0]&bucketFlag == 0 && p.bucket != "":
			w.visit(p.bucket, rest[key:value:value], rest[value:end:end])
		case e[0]&bucketFlag != 0 && p.bucket == "":
			w.inBucket(p.id, string(rest[key:value]), rest[value:end])
		default:
			w.damaged("page %d%s: element %d: a bucket, where there is none, or the reverse", p.id, of(p.bucket), i)
		}
	}
}

// inBucket visits a bucket: the number of its first page in 8 bytes and a counter in
// 8, and if the number is 0 its only page.
func (w *pageWalk) inBucket(id uint64, name string, b []byte) {
	if len(b) < 16 {
		w.damaged("page %d: bucket %q has %d bytes, want at least 16", id, name, len(b))
		return
	}
	if root := binary.NativeEndian.Uint64(b); root != 0 {
		w.walk(root, name)
		return
	}
	if len(b) < 16+headerSize {
		w.damaged("page %d: bucket %q has %d bytes, want at least %d", id, name, len(b), 16+headerSize)
		return
	}
	p := parsePage(b[16:])
	p.id, p.bucket = id, name
	if p.flags != leafFlag {
		w.damaged("page %d: bucket %q has flags %#x, want %#x", id, name, p.flags, leafFlag)
		return
	}
	w.leaf(p)
}
