package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/file"
	"github.com/weirstream/weir/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A bed is a file that is followed.
type bed struct {
	*feedtest.Bed
	t    *testing.T
	path string
	spec feed.Spec
}

func newBed(t *testing.T, change func(s *feed.Spec)) *bed {
	path := filepath.Join(t.TempDir(), "a [1].log")
	b := &bed{feedtest.New(t), t, path, feed.Spec{Name: "test", File: path, Topic: "lines", DeadLetter: "dead"}}
	if change != nil {
		change(&b.spec)
	}
	return b
}

func (b *bed) start() *feedtest.Running {
	b.t.Helper()
	return b.Start(feed.Options{Spec: b.spec, Source: file.New(b.spec)})
}

// add appends to the file, which it makes if need be.
func (b *bed) add(text string) {
	b.t.Helper()
	f, err := os.OpenFile(b.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) rename(to string) {
	b.t.Helper()
	if err := os.Rename(b.path, to); err != nil {
		b.t.Fatal(err)
	}
}

func lines(from, to int) string { return strings.Join(feedtest.Numbers(from, to), "\n") + "\n" }

func TestAddedLinesAreMessages(t *testing.T) {
	b := newBed(t, nil)
	b.add("old\nbegun")
	b.start().AwaitState(feed.Running)
	b.add(" and ended\r\n")
	b.AwaitData("lines", []string{"begun and ended"})
	b.add(lines(0, 3000) + "part")
	want := append([]string{"begun and ended"}, feedtest.Numbers(0, 3000)...)
	b.AwaitData("lines", want)
	b.add("ly\n")
	b.AwaitData("lines", append(want, "partly"))
}

func TestFromTheBegin(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start = "begin" })
	b.add(lines(0, 10))
	b.start()
	b.AwaitData("lines", feedtest.Numbers(0, 10))
}

func TestMissingFileIsWaitedFor(t *testing.T) {
	b := newBed(t, nil)
	r := b.start()
	r.AwaitState(feed.Failing)
	if s := r.Stats(); !strings.Contains(s.Error, "is not there") {
		t.Errorf("error is %q", s.Error)
	}
	b.add(lines(0, 3))
	b.AwaitData("lines", feedtest.Numbers(0, 3))
	r.AwaitState(feed.Running)
}

// TestRotation renames the file while a writer still has it open.
func TestRotation(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start = "begin" })
	b.add(lines(0, 10))
	b.start()
	b.AwaitData("lines", feedtest.Numbers(0, 10))
	old, err := os.OpenFile(b.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	b.rename(b.path + ".1")
	b.add(lines(20, 30))
	time.Sleep(300 * time.Millisecond)                               // until the new file is seen, and not followed yet
	if _, err := old.WriteString(lines(10, 19) + "19"); err != nil { // without a line end
		t.Fatal(err)
	}
	b.AwaitData("lines", feedtest.Numbers(0, 30))
}

func TestTruncation(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start = "begin" })
	b.add(lines(0, 10) + "cut")
	b.start()
	b.AwaitData("lines", feedtest.Numbers(0, 10))
	if err := os.Truncate(b.path, 0); err != nil {
		t.Fatal(err)
	}
	b.add("x\n")
	b.AwaitData("lines", append(feedtest.Numbers(0, 10), "x"))
}

func TestGoesOnWhereItStopped(t *testing.T) {
	for _, c := range []struct {
		name  string
		while func(b *bed) // what happens while nobody follows
		want  []string     // what is published then
	}{
		{"nothing", func(b *bed) {}, nil},
		{"growth", func(b *bed) { b.add("b\n") }, []string{"b"}},
		{"rotation", func(b *bed) { b.add("b\n"); b.rename(b.path + ".1"); b.add("c\n") }, []string{"b", "c"}},
		{"rotation, same begin", func(b *bed) { b.add("b\n"); b.rename(b.path + ".1"); b.add("aaa\nc\nd\ne\n") }, []string{"b", "aaa", "c", "d", "e"}},
		{"rotation twice", func(b *bed) {
			b.rename(b.path + ".2")
			b.add("lost\n")
			b.rename(b.path + ".1")
			b.add("c\n")
		}, []string{"c"}},
		{"replaced", func(b *bed) { b.rename(b.path + ".x"); os.Remove(b.path + ".x"); b.add("another\n") }, []string{"another"}},
		{"truncated", func(b *bed) { os.Truncate(b.path, 0); b.add("c\n") }, []string{"c"}},
		{"copied", func(b *bed) {
			text, _ := os.ReadFile(b.path)
			os.Remove(b.path)
			b.add(string(text) + "b\n")
		}, []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, func(s *feed.Spec) { s.Start = "begin" })
			b.add("aaa\nbegun ")
			r := b.start()
			b.AwaitData("lines", []string{"aaa"})
			r.Stop()
			b.add("line\n")
			c.while(b)
			r = b.start()
			r.AwaitState(feed.Running)
			b.add("last\n")
			want := append([]string{"aaa", "begun line"}, append(c.want, "last")...)
			if c.name == "replaced" || c.name == "truncated" { // what was not read is gone
				want = append([]string{"aaa"}, append(c.want, "last")...)
			}
			b.AwaitData("lines", want)
		})
	}
}

func TestStartAtTheEndIsRemembered(t *testing.T) {
	b := newBed(t, nil)
	b.add("old\n")
	r := b.start()
	r.AwaitState(feed.Running)
	r.Stop()
	b.add("new\n")
	b.start()
	b.AwaitData("lines", []string{"new"})
}

func TestNothingIsSkippedWhileTheLogRefuses(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start = "begin" })
	b.Log.Full.Store(true)
	b.add(lines(0, 1000))
	r := b.start()
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(b.Log.Refused.Load() > 2, "%d", b.Log.Refused.Load()) })
	r.Stop()
	r = b.start()
	r.AwaitState(feed.Failing)
	b.Log.Full.Store(false)
	b.AwaitData("lines", feedtest.Numbers(0, 1000))
}

func TestLongLinesAreDeadLetters(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start, s.MaxBytes = "begin", 100 })
	b.add(strings.Repeat("x", 1<<20) + "\n" + strings.Repeat("y", 100) + "\r\n")
	b.start()
	b.AwaitData("lines", []string{strings.Repeat("y", 100)})
	if d := b.Data("dead"); len(d) != 1 || !strings.Contains(d[0], fmt.Sprintf("line is %d bytes, limit 100", 1<<20)) {
		t.Errorf("dead letters are %.300q", d)
	}
}

func TestPipeIsRefused(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.File = os.DevNull })
	r := b.start()
	feedtest.Await(t, "the state", func() error {
		s := r.Stats()
		return feedtest.Not(s.State == feed.Failing && strings.Contains(s.Error, "no regular file"), "%+v", s)
	})
}

func TestKeyIsTheNameOfTheFile(t *testing.T) {
	b := newBed(t, func(s *feed.Spec) { s.Start, s.Topic = "begin", "files/{key}" })
	b.add("a\n")
	b.start()
	b.AwaitData("files/a [1].log", []string{"a"})
}
