package stream

import (
	"testing"
	"unsafe"
)

// TestConnFillsItsSizeClass is for the memory of idle streams: one byte more costs each
// of them 32.
func TestConnFillsItsSizeClass(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 320 {
		t.Errorf("a Conn has %d bytes, more than the 320 that the allocator gives it", n)
	}
}
