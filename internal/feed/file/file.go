// Package file feeds the lines that are added to a file.
//
// [New] makes the source. It follows the file under its name, as tail -F does: when
// the name becomes that of another file, as when logs are rotated, it reads the old one
// to its end and then the new one from its begin; when the file becomes shorter, it
// starts again. A file that is not there yet is waited for. It looks ten times a second.
//
// How far it has read is stored in the log together with the messages, so that, where
// the log outlives a restart, every line is published exactly once. A file that was
// rotated meanwhile is looked for under names that begin with its own. What was rotated
// twice is lost, and so is what a writer truncates away before it is read, or replaces
// within a tenth of a second by something at least as long.
package file

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstream/weir/internal/feed"
)

const (
	interval = 100 * time.Millisecond // between looks at a file that does not grow
	linger   = time.Second            // an old file may still be written to after it was replaced
	readSize = 64 << 10
)

// A Source follows a file.
type Source struct {
	path     string
	atBegin  bool // where to start when nothing is known
	maxBytes int
}

// New makes a source of s.File.
func New(s feed.Spec) *Source { return &Source{s.File, s.Start == "begin", s.MaxBytes} }

// Run follows the file until ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	r := &reader{source: s, in: in, buf: make([]byte, readSize)}
	defer r.close()
	if err := r.begin(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		grew, err := r.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case grew:
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// A reader is at a place in a file.
type reader struct {
	source *Source
	in     *feed.Intake
	buf    []byte

	file     *os.File // nil: it is not there
	offset   int64    // up to which it has been read
	lines    feed.Lines
	mark     mark      // of file
	replaced time.Time // when the name was found to be another file's; zero: it is not
}

// begin opens the file where the last run left it.
func (r *reader) begin(ctx context.Context) error {
	r.lines.Max = r.source.maxBytes
	var p place
	if known := r.in.Position(); known != nil {
		if err := json.Unmarshal(known, &p); err != nil {
			return fmt.Errorf("stored position: %w", err)
		}
		found, err := find(r.source.path, p)
		if found != nil {
			r.use(found, p.Offset)
		}
		return err // without it, that file is gone, and another one starts at its begin
	}
	f, err := open(r.source.path)
	if f == nil || err != nil {
		return err
	}
	r.use(f, 0)
	if !r.source.atBegin {
		if r.offset, err = lastLine(f); err != nil {
			return err
		}
	}
	return r.deliver(ctx, nil) // from now on this is known
}

func (r *reader) use(f *os.File, offset int64) {
	r.file, r.offset, r.mark, r.replaced = f, offset, mark{}, time.Time{}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
	r.file = nil
}

// step reads once, and reports whether there may be more.
func (r *reader) step(ctx context.Context) (more bool, err error) {
	if r.file == nil {
		f, err := open(r.source.path)
		if err != nil {
			return false, err
		}
		if f == nil {
			r.in.Failing(fmt.Errorf("%s is not there", r.source.path))
			return false, nil
		}
		r.use(f, 0)
	}
	r.in.Running()
	n, err := r.file.ReadAt(r.buf, r.offset)
	if n > 0 {
		return true, r.take(ctx, r.buf[:n])
	}
	if !errors.Is(err, io.EOF) {
		return false, err
	}
	return r.end(ctx)
}

// end looks what has become of a file that was read to its end.
func (r *reader) end(ctx context.Context) (more bool, err error) {
	info, err := r.file.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < r.offset { // it was truncated
		r.use(r.file, 0)
		r.lines = feed.Lines{Max: r.source.maxBytes}
		return true, nil
	}
	named, err := os.Stat(r.source.path)
	if err != nil || os.SameFile(info, named) { // there may soon be one
		r.replaced = time.Time{}
		return false, nil
	}
	if r.replaced.IsZero() {
		r.replaced = time.Now()
	}
	if time.Since(r.replaced) < linger {
		return false, nil
	}
	if err := r.deliver(ctx, r.lines.Rest()); err != nil {
		return false, err
	}
	r.close()
	return true, nil
}

// take delivers the lines that end in chunk, which follows r.offset.
func (r *reader) take(ctx context.Context, chunk []byte) error {
	for len(chunk) > 0 {
		n := batch(chunk)
		lines := r.lines.Cut(chunk[:n])
		r.offset += int64(n)
		chunk = chunk[n:]
		if len(lines) == 0 {
			continue
		}
		if err := r.deliver(ctx, lines); err != nil {
			return err
		}
	}
	return nil
}

// batch is how many bytes the first lines of a chunk have that are delivered together.
func batch(chunk []byte) int {
	end := 0
	for range feed.MaxBatch {
		i := bytes.IndexByte(chunk[end:], '\n')
		if i < 0 {
			return len(chunk)
		}
		end += i + 1
	}
	return end
}

// deliver delivers lines, and with them where they end.
func (r *reader) deliver(ctx context.Context, lines []feed.Message) error {
	for i := range lines {
		lines[i].Key = filepath.Base(r.source.path)
	}
	done := r.offset - int64(r.lines.Begun())
	if err := r.mark.update(r.file, done); err != nil {
		return err
	}
	position, err := json.Marshal(place{Offset: done, mark: r.mark})
	if err != nil {
		return err
	}
	return r.in.Deliver(ctx, lines, position)
}

// lastLine is where the last line begins: after the last line feed. It does not look
// back further than readSize.
func lastLine(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	from := max(info.Size()-readSize, 0)
	tail := make([]byte, info.Size()-from)
	n, err := f.ReadAt(tail, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if i := bytes.LastIndexByte(tail[:n], '\n'); i >= 0 || from == 0 {
		return from + int64(i) + 1, nil
	}
	return from + int64(n), nil
}

// open opens a regular file; it returns nil if there is none of this name.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a pipe might take forever
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// find opens the file that p is a place in, be it under another name by now; nil if it
// is not found.
func find(path string, p place) (*os.File, error) {
	names, err := filepath.Glob(escape(path) + "?*")
	if err != nil {
		return nil, err
	}
	var alike *os.File // it begins like it, and is on another inode, as after a copy
	for _, name := range append([]string{path}, names...) {
		f, err := open(name)
		if f == nil || err != nil {
			continue // it is none of ours, or will be complained about later
		}
		same, inode := p.in(f)
		switch {
		case same && inode:
			if alike != nil {
				alike.Close()
			}
			return f, nil
		case same && alike == nil:
			alike = f
		default:
			f.Close()
		}
	}
	return alike, nil
}

// escape returns path as a pattern that matches only itself.
func escape(path string) string {
	var b []byte
	for i := range len(path) {
		if bytes.IndexByte([]byte(`*?[\`), path[i]) >= 0 && os.PathSeparator == '/' {
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}

// A place is one in a file, as it is stored.
type place struct {
	Offset int64 `json:"offset"`
	mark
}

// in reports whether p is a place in f: f begins like it did. inode says that it is the
// very same file.
func (p *place) in(f *os.File) (same, inode bool) {
	info, err := f.Stat()
	if err != nil || info.Size() < p.Offset {
		return false, false
	}
	var m mark
	if err := m.update(f, p.Offset); err != nil {
		return false, false
	}
	return m.Sum == p.Sum, cmp.Or(p.File, "?") == identity(info)
}
