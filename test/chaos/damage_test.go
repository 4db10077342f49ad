package chaos_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/sse"
)

// A specimen is the file of a server that was killed after its last transaction.
type specimen struct {
	before, after   image    // that transaction
	first, all      []string // data of messages: before it, and after it
	lastTransaction []int    // pages that it wrote
}

// newSpecimen makes messages of a quarter of a page, so that there are many pages, and
// then one of several pages.
func newSpecimen(t *testing.T) (x specimen) {
	t.Helper()
	s := newServer(t, append(slices.Clip(everything), "--page=false")...) // nothing is published but by the test
	s.start()
	for i := 1; i <= 200; i++ {
		x.first = append(x.first, fmt.Sprintf("message %d %s", i, strings.Repeat(string(rune('a'+i%26)), 1000)))
		if i%10 == 0 { // pages are written again and again, in many transactions
			s.publish("a", x.first[i-10:]...)
		}
	}
	x.before = readImage(t, s.file())
	x.all = append(slices.Clip(x.first), "message 201 "+strings.Repeat("long ", 2000))
	s.publish("a", x.all[200])
	s.kill()
	x.after = readImage(t, s.file())
	x.lastTransaction = x.after.changed(x.before)
	if x.after.number() != x.before.number()+1 || len(x.lastTransaction) < 5 {
		t.Fatalf("the numbers of transactions are %d and %d, pages %v changed: want one transaction of some pages", x.before.number(), x.after.number(), x.lastTransaction)
	}
	return x
}

// An outcome is what became of a damaged file.
type outcome struct {
	data []string // what a reader gets
	code int      // exit code, if the server ended by itself
	said []string // its last words, without lines of the log
}

// try starts a server on a file and reads all messages.
func (f image) try(t *testing.T) (o outcome) {
	t.Helper()
	s := newServer(t, append(slices.Clip(everything), "--page=false")...)
	if err := os.WriteFile(s.file(), f, 0o600); err != nil {
		t.Fatal(err)
	}
	defer s.said.Clear() // it is in the outcome
	s.launch()
	if s.listens() {
		id, _, err := s.post("a", []string{"end"}, "")
		for err == nil && o.data == nil {
			o.data, err = s.readTo(t, "topic=a", id)
		}
		if err == nil {
			s.stop()
			return o
		}
	}
	o = outcome{code: s.exitCode()}
	for line := range strings.Lines(s.said.String()) {
		if !strings.HasPrefix(line, "time=") {
			o.said = append(o.said, strings.ReplaceAll(strings.TrimSpace(line), s.file(), "FILE"))
		}
	}
	return o
}

// readTo returns the data of all messages before the one with an ID.
func (s *server) readTo(t *testing.T, query, id string) (data []string, err error) {
	data = []string{}
	f := newFollower(s.url, query, func(e sse.Event) {
		if e.Data != nil && e.ID != id {
			data = append(data, string(e.Data))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = f.visit(ctx, func() bool { return f.last == id })
	if err != errEnough {
		return nil, err
	}
	return data, nil
}

// check fails the test unless the reader got what one of wants says, or, if mayFail,
// the server refused the file in one line that names it.
func (o outcome) check(t *testing.T, mayFail bool, wants ...[]string) {
	t.Helper()
	if o.data == nil {
		if !mayFail || o.code == 0 || len(o.said) != 1 || !strings.Contains(o.said[0], "FILE") {
			t.Errorf("the server ended with code %d and said %d lines, want one that names the file:\n%s", o.code, len(o.said), shorten(strings.Join(o.said, "\n")))
		}
		return
	}
	for _, want := range wants {
		if slices.Equal(o.data, want) {
			return
		}
	}
	t.Errorf("a reader gets %d messages, which are not those that were published; they begin with %.50q", len(o.data), o.data[:min(3, len(o.data))])
}

func shorten(s string) string {
	const most = 700
	if len(s) > most {
		return s[:most] + " [...]"
	}
	return s
}

// TestTornTransactionIsNotThere damages what a transaction leaves behind that has not
// come to its end: its meta page is written last.
func TestTornTransactionIsNotThere(t *testing.T) {
	x := newSpecimen(t)
	x.after.try(t).check(t, false, x.all) // sound as it is
	for name, damage := range map[string]func(f image){
		"meta not written":                     func(f image) { f.tearMeta(x.before, 0) },
		"meta written up to its number":        func(f image) { f.tearMeta(x.before, metaNumber+8) },
		"meta written without its checksum":    func(f image) { f.tearMeta(x.before, metaChecksum) },
		"meta with half of its checksum":       func(f image) { f.tearMeta(x.before, metaChecksum+2) },
		"meta garbled":                         func(f image) { garble(f.page(f.newestMeta())) },
		"meta zeroed":                          func(f image) { clear(f.page(f.newestMeta())) },
		"meta not written, pages garbled":      func(f image) { f.tearMeta(x.before, 0); x.each(f, garble) },
		"meta not written, pages zeroed":       func(f image) { f.tearMeta(x.before, 0); x.each(f, func(b []byte) { clear(b) }) },
		"meta not written, pages half written": func(f image) { f.tearMeta(x.before, 0); x.each(f, func(b []byte) { clear(b[len(b)/2:]) }) },
	} {
		t.Run(name, func(t *testing.T) {
			f := x.after.clone()
			damage(f)
			f.try(t).check(t, false, x.first)
		})
	}
}

// each damages every page that the last transaction wrote.
func (x specimen) each(f image, damage func(page []byte)) {
	for _, n := range x.lastTransaction {
		damage(f.page(n))
	}
}

// TestDamagedPagesAreNoticed damages pages although their transaction came to its end,
// as a disk does that lies or fails. What is damaged may be unused; else the server
// must say which file is at fault.
func TestDamagedPagesAreNoticed(t *testing.T) {
	x := newSpecimen(t)
	for kind, damage := range map[string]func(page []byte){
		"garbled":      garble,
		"zeroed":       func(b []byte) { clear(b) },
		"half written": func(b []byte) { garble(b[len(b)/2:]) },
		"head garbled": func(b []byte) { garble(b[:64]) },
	} {
		for _, n := range x.lastTransaction {
			t.Run(fmt.Sprintf("page %d %s", n, kind), func(t *testing.T) {
				f := x.after.clone()
				damage(f.page(n))
				f.try(t).check(t, true, x.all)
			})
		}
	}
}

func TestTruncatedFileIsNoticed(t *testing.T) {
	x := newSpecimen(t)
	end := slices.Max(x.lastTransaction) + 1
	page := os.Getpagesize()
	for name, size := range map[string]int{
		"last page":          (end - 1) * page,
		"half of last page":  (end-1)*page + page/2,
		"half of the file":   end / 2 * page,
		"all but meta pages": 2 * page,
		"all but one page":   page,
		"all but some bytes": 100,
	} {
		t.Run(name, func(t *testing.T) { x.after[:size].try(t).check(t, true, x.all, x.first) })
	}
}

func TestWithoutMetaPagesNothingIsServed(t *testing.T) {
	x := newSpecimen(t)
	f := x.after.clone()
	garble(f.page(0))
	garble(f.page(1))
	o := f.try(t)
	if o.data != nil {
		t.Fatalf("the server starts, and readers get %d messages", len(o.data))
	}
	o.check(t, true)
}

func TestMissingBucketIsNoticed(t *testing.T) {
	x := newSpecimen(t)
	for _, name := range []string{"entries", "keys", "meta", "topics", "values"} {
		t.Run(name, func(t *testing.T) {
			f := image(bytes.ReplaceAll(x.after, []byte(name), []byte(name[:len(name)-1]+"~")))
			f.try(t).check(t, true)
		})
	}
}

// TestDamageWhileTheServerRunsIsReported flips a byte of a message that is no longer in
// memory.
func TestDamageWhileTheServerRunsIsReported(t *testing.T) {
	s := newServer(t, append(slices.Clip(everything), "--disk.memory", "1MiB")...)
	s.start()
	for i := range 40 {
		s.publish("a", fmt.Sprintf("message %d %s", i, strings.Repeat("x", 100_000)))
	}
	at := bytes.Index(readImage(t, s.file()), []byte("message 7 "))
	file, err := os.OpenFile(s.file(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("!"), int64(at+20)); err != nil {
		t.Fatal(err)
	}
	reader := newPulse(s)
	stop := background(t, reader.run)
	await(t, "the server's complaint", func() error {
		if said := s.said.String(); !strings.Contains(said, s.file()) || !strings.Contains(said, "position 8") {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	stop()
	for i, got := range reader.got {
		if want := fmt.Sprintf("message %d ", i); !strings.HasPrefix(got, want) || strings.Contains(got, "!") {
			t.Errorf("the reader got %.20q as message %d", got, i)
		}
	}
}

// TestFlippedByteIsReported flips one byte in the data of one message.
func TestFlippedByteIsReported(t *testing.T) {
	x := newSpecimen(t)
	f := x.after.clone()
	for at := 0; ; at++ { // all copies, also those in pages that are no longer used
		i := bytes.Index(f[at:], []byte("message 77 "))
		if i < 0 {
			break
		}
		at += i
		f[at+30]++
	}
	o := f.try(t)
	if o.data != nil {
		t.Fatalf("the server starts, and readers get %d messages", len(o.data))
	}
	o.check(t, true)
	if want := "position 77"; !strings.Contains(strings.Join(o.said, "\n"), want) {
		t.Errorf("the server says %q, want %q", o.said, want)
	}
}
