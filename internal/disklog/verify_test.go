package disklog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// specimen makes a log with something in each bucket: positions 1 to 9 of the topics
// "many", which keeps three, and "all", of which 2 is gone and 9 is in both.
func specimen(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, disklog.Options{History: eventlog.Options{Rules: []eventlog.Rule{
		{Pattern: "many", Retention: eventlog.Retention{MaxEntries: 3}},
	}}})
	once := message("all", "the first")
	once.IdempotencyKey = "only-once"
	add(t, l, once)
	for i := range 5 {
		add(t, l, message("many", fmt.Sprintf("number %d of many", i)))
	}
	add(t, l, message("all", "needle"), message("all", "hay"))
	add(t, l, &eventlog.Entry{Message: eventlog.Message{Topics: []string{"all", "many"}, Data: []byte("of both")}})
	if err := l.Commit(t.Context(), []eventlog.Put{{Key: "name-of-value", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return dir
}

func contents(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, disklog.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func overwrite(t testing.TB, dir string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, disklog.FileName), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace replaces bytes in the file, in pages that are free as well.
func replace(t testing.TB, dir, old, fresh string) {
	t.Helper()
	b := contents(t, dir)
	if len(old) != len(fresh) || !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%q is not in the file, or not as long as %q", old, fresh)
	}
	overwrite(t, dir, bytes.ReplaceAll(b, []byte(old), []byte(fresh)))
}

// stored returns the value of a key, as it is in the file.
func stored(t testing.TB, dir, bucket, key string) (value string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, disklog.FileName), 0, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(func(tx *bbolt.Tx) error {
		value = string(tx.Bucket([]byte(bucket)).Get([]byte(key)))
		return nil
	})
	if value == "" {
		t.Fatalf("bucket %q has no key %q", bucket, key)
	}
	return value
}

// at is a position as a key.
func at(seq byte) string { return string([]byte{7: seq}) }

func TestVerifyCountsWhatIsThere(t *testing.T) {
	dir := specimen(t)
	before := contents(t, dir)
	r := sound(t, dir)
	if r.Entries != 6 || r.Topics != 1 || r.Keys != 1 || r.Values != 1 || r.Pages < 1 {
		t.Errorf("report is %+v, want 6 entries, one topic, key and value", r)
	}
	if !bytes.Equal(before, contents(t, dir)) {
		t.Error("the file has changed")
	}
}

// TestVerifySaysWhatIsDamaged changes single values in the file.
func TestVerifySaysWhatIsDamaged(t *testing.T) {
	huge := "\x7f" + strings.Repeat("\x00", 7)
	for _, c := range []struct {
		name   string
		damage func(dir string)
		want   string
	}{
		{"data", func(dir string) { replace(t, dir, "needle", "NEEDLE") },
			"entries: damaged record at position 7: checksum"},
		{"position twice", func(dir string) {
			v := stored(t, dir, "entries", at(8))
			replace(t, dir, at(8)+v, at(7)+v)
		}, `of bucket "entries": key "\x00\x00\x00\x00\x00\x00\x00\a" of element 4 is out of order`},
		{"position 0", func(dir string) {
			v := stored(t, dir, "entries", at(1))
			replace(t, dir, at(1)+v, at(0)+v)
		}, "entries: a position is 0"},
		{"position", func(dir string) {
			v := stored(t, dir, "entries", at(9))
			replace(t, dir, at(9)+v, at(200)+v)
		}, "entries: damaged record at position 200: checksum"},
		{"head", func(dir string) { replace(t, dir, "head"+at(9), "head"+at(3)) },
			"entries: position 9 is above the head, 3"},
		{"row of a topic", func(dir string) {
			v := stored(t, dir, "topics", "many")
			replace(t, dir, "many"+v, "many"+v[:16]+huge)
		}, "topics: position 9151314442816847872 is above the head, 9"},
		{"more lost than given up", func(dir string) {
			v := stored(t, dir, "topics", "many")
			replace(t, dir, "many"+v, "many"+at(9)+v[8:])
		}, `topics: "many" has lost position 9, but gave up only those to 4`},
		{"name of a topic", func(dir string) {
			v := stored(t, dir, "topics", "many")
			replace(t, dir, "many"+v, "m//y"+v)
		}, `topics: topic "m//y": empty segment at byte 2`},
		{"key", func(dir string) {
			v := stored(t, dir, "keys", at(1))
			replace(t, dir, v, v[:8]+"Only-once")
		}, `keys: position 1: key "Only-once" is not that of the entry, "only-once"`},
		{"position of a key", func(dir string) {
			v := stored(t, dir, "keys", at(1))
			replace(t, dir, at(1)+v, at(99)+v)
		}, "keys: position 99 is above the head, 9"},
		{"value", func(dir string) { replace(t, dir, "vname-of-value", "xname-of-value") },
			`values: key "xname-of-value" does not begin with v`},
		{"epoch", func(dir string) {
			v := stored(t, dir, "meta", "epoch")
			replace(t, dir, "epoch"+v, "epochAAAAAAAA")
		}, `meta: "AAAAAAAA" is not an epoch`},
		{"format", func(dir string) { replace(t, dir, "format1", "format2") },
			`meta: format is "2", want "1"`},
		{"what was lost", func(dir string) { replace(t, dir, "forgotten"+at(0), "forgotten"+at(10)) },
			"meta: forgotten is 10, above the newest position issued, 9"},
		{"name of a bucket", func(dir string) { replace(t, dir, "values", "valueS") },
			`bucket "values" is missing`},
		{"end of the file", func(dir string) {
			b := contents(t, dir)
			overwrite(t, dir, b[:3*os.Getpagesize()])
		}, fmt.Sprintf("the file has %d bytes, want at least ", 3*os.Getpagesize())},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := specimen(t)
			c.damage(dir)
			r, err := disklog.Verify(t.Context(), dir, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Damage, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("Verify finds %q, want %q", r.Damage, c.want)
			}
		})
	}
}

func TestVerifyOfNoLogIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := disklog.Verify(t.Context(), dir, quiet); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Verify of an empty directory gives %v, want one that wraps fs.ErrNotExist", err)
	}
	l := open(t, dir, disklog.Options{})
	if _, err := disklog.Verify(t.Context(), dir, quiet); !errors.Is(err, disklog.ErrInUse) {
		t.Errorf("Verify while a log is open gives %v, want ErrInUse", err)
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := disklog.Verify(ctx, dir, quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify with a context that is over gives %v", err)
	}
}

func TestVerifyListsABoundedNumberOfPlaces(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{Durability: disklog.Interval})
	for range 300 {
		add(t, l, message("a", "needle"))
	}
	l.Close()
	replace(t, dir, "needle", "NEEDLE")
	r, err := disklog.Verify(t.Context(), dir, quiet)
	if err != nil || len(r.Damage) != 100 || r.More != 200 {
		t.Errorf("%d places and %d more, %v; want 100 and 200", len(r.Damage), r.More, err)
	}
}

// grove makes a log of a hundred pages or so with nothing else in the file: trees of
// two levels, and entries larger than a page.
func grove(t *testing.T) (dir string, b []byte) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, disklog.Options{Durability: disklog.Interval})
	for i := range 1000 {
		e := message(fmt.Sprintf("topic/%d", i), strings.Repeat("data", 1+i%20))
		e.IdempotencyKey = fmt.Sprintf("key %d", i)
		if i%100 == 0 {
			e.Data = bytes.Repeat([]byte("large"), 4000)
		}
		add(t, l, e)
	}
	for i := range 50 {
		l.Forget(fmt.Sprintf("topic/%d", i))
	}
	l.Close()
	if _, _, err := disklog.Compact(t.Context(), dir, quiet); err != nil {
		t.Fatal(err)
	}
	return dir, contents(t, dir)
}

// lookAt calls all that reads the file: nothing must crash.
func lookAt(t *testing.T, dir string) (damaged bool) {
	t.Helper()
	report, err := disklog.Verify(t.Context(), dir, quiet)
	damaged = err != nil || !report.Sound()
	r, err := disklog.OpenReader(dir)
	if err != nil {
		return damaged
	}
	defer r.Close()
	_, err1 := r.Info(t.Context(), quiet)
	_, err2 := r.Topics(t.Context(), sel(t, "**"), quiet)
	_, err3 := r.Last(t.Context(), sel(t, "**"), 10)
	err4 := r.Entries(t.Context(), sel(t, "**"), 0, func(_ *eventlog.Entry, err error) error { return err })
	if err := errors.Join(err1, err2, err3, err4); err != nil && !damaged {
		t.Errorf("Verify finds nothing, but reading gives %v", err)
	}
	return damaged
}

// TestDamageInAnyPageIsFound fills one page after the other with nonsense. There
// are as many pages whose damage is found as there are in use, and no log is opened
// with one of them.
func TestDamageInAnyPageIsFound(t *testing.T) {
	dir, b := grove(t)
	want := sound(t, dir).Pages
	size := os.Getpagesize()
	found := int64(0)
	for at := 2 * size; at < len(b); at += size {
		bad := bytes.Clone(b)
		copy(bad[at:at+size], bytes.Repeat([]byte{0xa5}, size))
		overwrite(t, dir, bad)
		if !lookAt(t, dir) {
			continue
		}
		found++
		if _, err := disklog.Open(dir, disklog.Options{}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, disklog.FileName)) {
			t.Fatalf("page %d is damaged, Open gives %v; want an error that names the file", at/size, err)
		}
	}
	if found != want || want < 50 {
		t.Errorf("damage is found in %d pages, %d are in use, and there should be 50 or more", found, want)
	}
}

// TestFlippedBitsCrashNothing flips bits anywhere, mostly in the head of a page.
func TestFlippedBitsCrashNothing(t *testing.T) {
	dir, b := grove(t)
	rng := rand.New(rand.NewPCG(1, 2))
	size := os.Getpagesize()
	for range 300 {
		bad := bytes.Clone(b)
		at := rng.IntN(len(b))
		if rng.IntN(4) > 0 {
			at = at/size*size + rng.IntN(100)
		}
		bad[at] ^= 1 << rng.IntN(8)
		overwrite(t, dir, bad)
		lookAt(t, dir)
	}
}
