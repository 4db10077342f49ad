package fanout

import (
	"testing"
	"unsafe"
)

// TestReaderFillsItsSizeClass is for the memory of idle readers: one byte more costs each
// of them 16.
func TestReaderFillsItsSizeClass(t *testing.T) {
	if n := unsafe.Sizeof(reader{}); n > 64 {
		t.Errorf("a reader has %d bytes, more than the 64 that the allocator gives it", n)
	}
}
