package disklog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of a log's file in its directory.
const FileName = "weir.db"

// The buckets of the file.
var (
	entriesBucket = []byte("entries") // position -> record
	topicsBucket  = []byte("topics")  // topic -> topicRow, each number in 8 bytes
	valuesBucket  = []byte("values")  // "v" + key -> value
	keysBucket    = []byte("keys")    // position -> time in 8 bytes, idempotency key
	metaBucket    = []byte("meta")    // see the keys below
)

var buckets = [][]byte{entriesBucket, topicsBucket, valuesBucket, keysBucket, metaBucket}

// The keys of the meta bucket. All but epoch and format are numbers in 8 bytes.
var (
	formatKey    = []byte("format")    // "1"
	epochKey     = []byte("epoch")     // of the log
	headKey      = []byte("head")      // newest position issued, as of the last transaction
	reservedKey  = []byte("reserved")  // newest position that may have been issued; 0 after a clean end
	forgottenKey = []byte("forgotten") // see eventlog.Index.Forgotten
	lossesKey    = []byte("losses")    // JSON: see losses
)

const format = "1"

// ErrInUse means that another process has the directory open.
var ErrInUse = errors.New("disklog: the directory is in use by another process")

// openFile opens the file in dir for a log, and makes both if they are not there.
func openFile(dir string) (*bbolt.DB, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := checkPages(path); err != nil {
		return nil, err
	}
	db, err := openDB(path, false)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("disklog: open %s: %w", path, err) // db has forgotten its path
	}
	return db, syncDir(dir)
}

// checkPages looks at all pages of a file, if there is one: bbolt does so, too, to find
// which are free, but ends the program if one is damaged.
func checkPages(path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // a new file; or opening it will tell
	}
	r, err := openPages(path)
	if err != nil {
		return err
	}
	defer r.Close()
	err = r.scan(context.Background(), &pageWalk{visit: func(string, []byte, []byte) bool { return true }})
	if err != nil {
		return fmt.Errorf("%w: %s", err, path)
	}
	return nil
}

// openDB opens and locks a file: against all others, or if it is only to be read,
// against those that write. Neither waits for longer than a second.
func openDB(path string, readOnly bool) (*bbolt.DB, error) {
	var file *os.File
	o := &bbolt.Options{
		Timeout: time.Second, ReadOnly: readOnly,
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	if size := int64(4 << 30); strconv.IntSize == 64 && !readOnly {
		o.InitialMmapSize = int(size) // address space, not memory: growing it later would make the writer wait for readers
	}
	for {
		db, err := bbolt.Open(path, 0o640, o)
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return nil, fmt.Errorf("%w: %s", ErrInUse, filepath.Dir(path))
		case err != nil:
			return nil, fmt.Errorf("disklog: open %s: %w", path, err)
		}
		if isAt(file, path) {
			return db, nil
		}
		db.Close()
	}
}

// isAt reports whether path is still the file's. It is not if Compact has replaced
// the file while its lock was waited for: nobody would ever see what is written to it.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return true // using it will tell
	}
	there, err := os.Stat(path)
	return err != nil || os.SameFile(opened, there)
}

// checkFormat makes the buckets of a new file.
func checkFormat(db *bbolt.DB) error {
	found, err := readFormat(db)
	if err != nil || found == format {
		return err
	}
	if found != "" {
		return fmt.Errorf("its format is %q, this program knows %q", found, format)
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if err := meta.Put(epochKey, []byte(newEpoch())); err != nil {
			return err
		}
		return meta.Put(formatKey, []byte(format))
	})
}

// readFormat returns the format of a file, "" if it is a new one, without buckets.
func readFormat(db *bbolt.DB) (found string, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		if first, _ := tx.Cursor().First(); first == nil {
			return nil
		}
		if b := tx.Bucket(metaBucket); b != nil {
			found = string(b.Get(formatKey))
		}
		if found == "" {
			return fmt.Errorf("%w: it does not say its format", ErrDamaged)
		}
		for _, name := range buckets {
			if found == format && tx.Bucket(name) == nil {
				return fmt.Errorf("%w: bucket %q is missing", ErrDamaged, name)
			}
		}
		return nil
	})
	return found, err
}

// syncDir makes the name of a new file last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // not every system can
	return nil
}
