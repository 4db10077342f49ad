package file

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

// head is how many bytes at its begin a file is known by.
const head = 256

// A mark tells a file from others, as far as it was read.
type mark struct {
	Head int    `json:"head"` // bytes at its begin that Sum is about
	Sum  string `json:"sum"`
	File string `json:"file"` // what the system knows it by; "" where it does not say
}

// update makes m that of a file which was read up to offset.
func (m *mark) update(f *os.File, offset int64) error {
	n := int(min(offset, head))
	if m.Sum != "" && m.Head == n {
		return nil
	}
	buf := make([]byte, n)
	if _, err := f.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(buf)
	*m = mark{n, hex.EncodeToString(sum[:16]), identity(info)}
	return nil
}
