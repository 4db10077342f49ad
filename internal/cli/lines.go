package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// A lineReader reads lines up to a limit.
type lineReader struct {
	r      *bufio.Reader
	limit  int  // bytes in a line
	whole  bool // the last line must end too, else it is io.ErrUnexpectedEOF
	number int  // of the line read last, from 1
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: limit}
}

// next returns a line without its end, LF or CRLF, valid until the next call. At
// the end of the input it returns io.EOF; a line above the limit is an error too.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	text, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		text, err = l.long(bytes.Clone(text))
	}
	if err != nil && (err != io.EOF || len(text) == 0) {
		return nil, err
	}
	if text, ended := bytes.CutSuffix(text, []byte("\n")); ended {
		return bytes.TrimSuffix(text, []byte("\r")), nil
	}
	if l.whole {
		return nil, io.ErrUnexpectedEOF
	}
	return text, nil
}

// long reads the rest of a line that is larger than the buffer.
func (l *lineReader) long(text []byte) ([]byte, error) {
	for {
		part, err := l.r.ReadSlice('\n')
		if text = append(text, part...); len(text) > l.limit {
			return nil, fmt.Errorf("larger than the limit of %d bytes", l.limit)
		}
		if err != bufio.ErrBufferFull {
			return text, err
		}
	}
}
