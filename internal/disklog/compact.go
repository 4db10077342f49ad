package disklog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
)

// compactName is the name of the file that Compact writes, until it is complete.
const compactName = FileName + ".compact"

// compactBytes is about how much Compact copies in one transaction.
const compactBytes = 16 << 20

// Compact writes the log of a directory anew, without the free space in it, and
// returns the sizes of the file before and after. The old file is replaced when the
// new one is complete, checked and on the disk; until then, and if there is an error,
// it stays as it is. For that time the disk must have room for both.
//
// The log must not be damaged, and nobody else can open it until the end.
func Compact(ctx context.Context, dir string, p Progress) (before, after int64, err error) {
	report, err := Verify(ctx, dir, p)
	if err != nil {
		return 0, 0, err
	}
	if !report.Sound() {
		return 0, 0, fmt.Errorf("%w: %s", ErrDamaged, report.Damage[0])
	}
	from, err := openDB(filepath.Join(dir, FileName), false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }() // in the end: its lock keeps others away
	to := filepath.Join(dir, compactName)
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, err // left behind by one that was killed
	}
	defer os.Remove(to) // if it is still there
	if err := copyFile(ctx, from, to, p); err != nil {
		return 0, 0, err
	}
	if err := compare(ctx, to, report, p); err != nil {
		return 0, 0, err
	}
	if before, after, err = sizes(from.Path(), to); err != nil {
		return 0, 0, err
	}
	if err := os.Rename(to, from.Path()); err != nil {
		return 0, 0, err
	}
	return before, after, syncDir(dir)
}

// copyFile copies all buckets into a new file that is on the disk when it returns.
func copyFile(ctx context.Context, from *bbolt.DB, path string, p Progress) error {
	info, err := os.Stat(from.Path())
	if err != nil {
		return err
	}
	db, err := bbolt.Open(path, info.Mode().Perm(), &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
		NoSync: true, // nobody reads the file before it is complete
	})
	if err != nil {
		return err
	}
	c := copier{ctx: ctx, db: db, progress: p}
	if err = from.View(c.copyAll); err == nil {
		err = db.Sync()
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, info.Mode().Perm()), giveTo(info, path))
}

// A copier fills a file.
type copier struct {
	ctx      context.Context
	db       *bbolt.DB
	progress Progress

	tx          *bbolt.Tx
	size        int // bytes in tx
	done, total int64
}

func (c *copier) copyAll(from *bbolt.Tx) (err error) {
	for _, name := range buckets {
		c.total += int64(from.Bucket(name).Stats().KeyN)
	}
	if c.tx, err = c.db.Begin(true); err != nil {
		return err
	}
	for _, name := range buckets {
		if err := c.copyBucket(name, from.Bucket(name)); err != nil {
			_ = c.tx.Rollback() // if it is not over already
			return err
		}
	}
	c.progress("copying", c.done, c.total)
	return c.tx.Commit()
}

func (c *copier) copyBucket(name []byte, from *bbolt.Bucket) error {
	to, err := c.tx.CreateBucket(name)
	if err != nil {
		return err
	}
	return from.ForEach(func(k, v []byte) error {
		if c.size >= compactBytes {
			if err := c.next(); err != nil {
				return err
			}
			to = c.tx.Bucket(name)
		}
		if c.done%progressEvery == 0 {
			c.progress("copying", c.done, c.total)
		}
		to.FillPercent = 1 // in order, and hardly ever changed
		c.size += len(k) + len(v)
		c.done++
		return to.Put(k, v)
	})
}

// next begins another transaction.
func (c *copier) next() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := c.tx.Commit(); err != nil {
		return err
	}
	tx, err := c.db.Begin(true)
	if err == nil {
		c.tx, c.size = tx, 0
	}
	return err
}

// compare checks a copy of what the report is about.
func compare(ctx context.Context, path string, want *Report, p Progress) error {
	got, err := verifyFile(ctx, path, p)
	if err != nil {
		return err
	}
	if !got.Sound() {
		return fmt.Errorf("%w: the compacted copy: %s", ErrDamaged, strings.Join(got.Damage, "; "))
	}
	if got.Entries != want.Entries || got.Topics != want.Topics || got.Keys != want.Keys || got.Values != want.Values {
		return fmt.Errorf("%w: the log has changed: %+v, and before %+v", ErrInUse, *got, *want)
	}
	return nil
}

func sizes(before, after string) (b, a int64, err error) {
	old, err := os.Stat(before)
	if err != nil {
		return 0, 0, err
	}
	fresh, err := os.Stat(after)
	if err != nil {
		return 0, 0, err
	}
	return old.Size(), fresh.Size(), nil
}
