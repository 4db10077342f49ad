package disklog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// A pageFile is a file of bbolt that is read without trusting it. bbolt reads files
// through a map of memory, and there a page number or a length that is wrong ends
// the program, or never ends.
//
// A page is a header of 16 bytes (its number in 8, flags in 2, the number of elements
// in 2, the number of further pages that belong to it in 4), the elements of 16
// bytes each, and the keys and values, in the byte order of the machine. The two
// pages that say where the others are have checksums; those bbolt may read.
//
// Source: go.etcd.io/bbolt v1.5.0, internal/common.
type pageFile struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64 // how many there are, in use or not
	root     uint64 // the page with the buckets
}

const (
	headerSize  = 16
	elementSize = 16
	branchFlag  = 0x01
	leafFlag    = 0x02
	bucketFlag  = 0x01 // of an element: its value is a bucket
)

// newPageFile reads pages of a file as tx sees it.
func newPageFile(file io.ReaderAt, tx *bbolt.Tx) pageFile {
	size := int64(tx.DB().Info().PageSize)
	return pageFile{file, size, uint64(tx.Size() / size), uint64(tx.Cursor().Bucket().Root())}
}

// A pageWalk visits keys and values in order, each page once.
type pageWalk struct {
	pageFile
	only    string // the bucket to visit; "" for all
	from    []byte // the first key of only to visit; nil for all
	reverse bool

	visit   func(bucket string, key, value []byte) (more bool) // both are valid until it returns
	damaged func(place string)                                 // what it says cannot be visited
	turn    func()                                             // is called at each page

	seen  []uint64 // a bit for each page
	used  int64    // how many bits are set
	spare []byte   // room for a page; nil if it is in use
	done  bool
}

// run visits everything, until visit says that it is enough or ctx ends.
func (w *pageWalk) run(ctx context.Context) error {
	w.seen = make([]uint64, w.pages/64+1)
	turn := w.turn
	w.turn = func() {
		w.done = w.done || ctx.Err() != nil
		if turn != nil {
			turn()
		}
	}
	w.walk(w.root, "", span{})
	return ctx.Err()
}

// A span is where the keys of a page lie: from is the first possible, to the first
// that is not. nil is no bound.
type span struct{ from, to []byte }

func (s span) has(key []byte) bool {
	return bytes.Compare(key, s.from) >= 0 && (s.to == nil || bytes.Compare(key, s.to) < 0)
}

// walk visits a page and all below it.
func (w *pageWalk) walk(id uint64, bucket string, keys span) {
	if w.turn(); w.done {
		return
	}
	p, err := w.read(id)
	w.visitPage(p, err, id, bucket, keys)
	if p.flags == leafFlag && p.more == 0 {
		w.spare = p.bytes
	}
}

// visitPage visits the elements of a page that has been read, up to the first that is
// damaged. id is where it lies.
func (w *pageWalk) visitPage(p page, err error, id uint64, bucket string, keys span) {
	var elements []element
	if err == nil {
		elements, err = p.elements(keys)
	}
	if err != nil {
		w.report("page %d%s: %v", id, of(bucket), err)
	}
	p.id = id
	w.each(p, elements, bucket, keys.to)
}

func (w *pageWalk) report(format string, args ...any) { w.damaged(fmt.Sprintf(format, args...)) }

func of(bucket string) string {
	if bucket == "" {
		return ""
	}
	return fmt.Sprintf(" of bucket %q", bucket)
}

// each visits the elements of a page, whose keys all are before to.
func (w *pageWalk) each(p page, elements []element, bucket string, to []byte) {
	for i := range elements {
		if w.reverse {
			i = len(elements) - 1 - i
		}
		if w.done {
			return
		}
		e, next := elements[i], to
		if i+1 < len(elements) {
			next = elements[i+1].key
		}
		if p.flags == leafFlag {
			w.leaf(p, e, bucket)
		} else if bucket == "" || w.from == nil || next == nil || bytes.Compare(next, w.from) > 0 {
			w.walk(e.child, bucket, span{e.key, next})
		}
	}
}

// leaf visits an element of a leaf page.
func (w *pageWalk) leaf(p page, e element, bucket string) {
	switch {
	case e.bucket != (bucket == ""):
		w.report("page %d%s: key %q: a bucket where there is none, or the reverse", p.id, of(bucket), e.key)
	case !e.bucket:
		if w.from == nil || bytes.Compare(e.key, w.from) >= 0 {
			w.done = !w.visit(bucket, e.key, e.value)
		}
	case w.only == "" || w.only == string(e.key):
		w.inBucket(p.id, string(e.key), e.value)
	}
}

// inBucket visits a bucket: the number of its first page in 8 bytes and a counter in
// 8, and if the number is 0 its only page.
func (w *pageWalk) inBucket(id uint64, name string, b []byte) {
	if len(b) < 16 {
		w.report("page %d: bucket %q has %d bytes, want at least 16", id, name, len(b))
		return
	}
	if root := binary.NativeEndian.Uint64(b); root != 0 {
		w.walk(root, name, span{})
		return
	}
	p, err := parsePage(b[16:])
	if err == nil && p.flags != leafFlag {
		err = fmt.Errorf("flags are %#x, want %#x", p.flags, leafFlag)
	}
	w.visitPage(p, err, id, name, span{})
}

// A page as it is in the file.
type page struct {
	id    uint64
	flags uint16
	count int
	more  uint64 // pages that belong to it
	bytes []byte // all of it, with the header
}

// read reads a page, which must be in use only once.
func (w *pageWalk) read(id uint64) (p page, err error) {
	if id < 2 || id >= w.pages {
		return p, fmt.Errorf("its number is not from 2 to %d", w.pages-1)
	}
	b := w.buffer()
	if _, err := w.file.ReadAt(b, int64(id)*w.pageSize); err != nil {
		return p, fmt.Errorf("cannot be read: %w", err)
	}
	if p, err = parsePage(b); err != nil {
		return p, err
	}
	if p.id != id {
		return p, fmt.Errorf("says that it is page %d", p.id)
	}
	if err := w.use(id, p.more); err != nil || p.more == 0 {
		return p, err
	}
	p.bytes = make([]byte, int64(1+p.more)*w.pageSize)
	if _, err := w.file.ReadAt(p.bytes, int64(id)*w.pageSize); err != nil {
		return p, fmt.Errorf("cannot be read: %w", err)
	}
	return p, nil
}

// buffer returns room for a page.
func (w *pageWalk) buffer() []byte {
	b := w.spare
	if w.spare = nil; b == nil {
		b = make([]byte, w.pageSize)
	}
	return b
}

// use notes that a page, and more behind it, are in use.
func (w *pageWalk) use(id, more uint64) error {
	if id+more >= w.pages {
		return fmt.Errorf("goes on for %d pages, and %d is the last", more, w.pages-1)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i/64]>>(i%64)&1 != 0 {
			return fmt.Errorf("page %d is in use twice", i)
		}
		w.seen[i/64] |= 1 << (i % 64)
		w.used++
	}
	return nil
}

// parsePage reads the header of a page. b may be longer.
func parsePage(b []byte) (p page, err error) {
	if len(b) < headerSize {
		return p, fmt.Errorf("has %d bytes, want at least %d", len(b), headerSize)
	}
	p = page{
		id: binary.NativeEndian.Uint64(b), flags: binary.NativeEndian.Uint16(b[8:]),
		count: int(binary.NativeEndian.Uint16(b[10:])), more: uint64(binary.NativeEndian.Uint32(b[12:])), bytes: b,
	}
	if p.flags != branchFlag && p.flags != leafFlag {
		err = fmt.Errorf("flags are %#x, want %#x or %#x", p.flags, branchFlag, leafFlag)
	}
	return p, err
}

// An element of a branch page is the first possible key of another page; of a leaf
// page a key and its value.
type element struct {
	key, value []byte
	child      uint64
	bucket     bool
}

// elements returns the elements of a page whose keys must lie in a span, up to the
// first that is damaged.
func (p page) elements(keys span) (list []element, err error) {
	list = make([]element, 0, min(p.count, len(p.bytes)/elementSize))
	for i := range p.count {
		e, ok := p.element(headerSize + elementSize*i)
		switch {
		case !ok:
			return list, fmt.Errorf("element %d is outside the page", i)
		case !keys.has(e.key) || i > 0 && bytes.Compare(e.key, list[i-1].key) <= 0:
			return list, fmt.Errorf("key %q of element %d is out of order", e.key, i)
		}
		list = append(list, e)
	}
	return list, nil
}

// element reads the element at a place. Of a branch page these are the place of the
// key, counted from there, its length, and in 8 bytes a page; of a leaf page flags,
// the place and the length of the key, and the length of the value behind it.
func (p page) element(at int) (e element, ok bool) {
	if at+elementSize > len(p.bytes) {
		return e, false
	}
	b := p.bytes[at:]
	var n [4]uint64
	for i := range n {
		n[i] = uint64(binary.NativeEndian.Uint32(b[4*i:]))
	}
	from, to, end := n[0], n[0]+n[1], n[0]+n[1]
	if p.flags == leafFlag {
		from, to, end = n[1], n[1]+n[2], n[1]+n[2]+n[3]
		e.bucket = n[0]&bucketFlag != 0
	}
	if end > uint64(len(b)) {
		return e, false
	}
	e.key, e.value, e.child = b[from:to:to], b[to:end:end], binary.NativeEndian.Uint64(b[8:])
	return e, true
}
