package chaos_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// An image is the content of a log's file. Its pages have the size of the system's.
// Pages 0 and 1 are meta pages: transactions write them in turn, and the one with the
// higher number counts if its checksum is right.
//
// Source: go.etcd.io/bbolt, internal/common, the types Page and Meta.
type image []byte

// Offsets of fields in a meta page, behind the page's head of 16 bytes.
const (
	metaNumber   = 16 + 48 // of the transaction, 8 bytes
	metaChecksum = 16 + 56 // 8 bytes
)

func readImage(t *testing.T, path string) image {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f image) clone() image { return slices.Clone(f) }

func (f image) page(n int) []byte {
	size := os.Getpagesize()
	return f[n*size : min((n+1)*size, len(f))]
}

func (f image) pages() int { return len(f) / os.Getpagesize() }

// newestMeta is the number of the meta page that counts.
func (f image) newestMeta() int {
	if f.numberIn(0) > f.numberIn(1) {
		return 0
	}
	return 1
}

func (f image) numberIn(meta int) uint64 {
	return binary.NativeEndian.Uint64(f.page(meta)[metaNumber:])
}

// number is that of the last transaction.
func (f image) number() uint64 { return f.numberIn(f.newestMeta()) }

// changed lists the pages in which f differs from an earlier image, without the meta
// pages.
func (f image) changed(before image) (pages []int) {
	for n := 2; n < f.pages(); n++ {
		if n >= before.pages() || !bytes.Equal(f.page(n), before.page(n)) {
			pages = append(pages, n)
		}
	}
	return pages
}

// tearMeta leaves of the newest meta page what was there two transactions ago, but
// for its first bytes.
func (f image) tearMeta(before image, bytes int) {
	n := f.newestMeta()
	copy(f.page(n)[bytes:], before.page(n)[bytes:])
}

// garble fills bytes with noise.
func garble(b []byte) {
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
}
