package disklog

import (
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
	topicsBucket  = []byte("topics")  // topic -> gone, forgot: positions
	valuesBucket  = []byte("values")  // "v" + key -> value
	keysBucket    = []byte("keys")    // position -> time in 8 bytes, idempotency key
	metaBucket    = []byte("meta")    // see the keys below
)

// The keys of the meta bucket. All but epoch and format are numbers in 8 bytes.
var (
	formatKey    = []byte("format")    // "1"
	epochKey     = []byte("epoch")     // of the log
	headKey      = []byte("head")      // newest position issued, as of the last transaction
	reservedKey  = []byte("reserved")  // newest position that may have been issued; 0 after a clean end
	forgottenKey = []byte("forgotten") // see eventlog.Index.Forgotten
	weakKey      = []byte("interval")  // newest position that an entry of Interval, lost in a crash, may have had
	memoryKey    = []byte("memory")    // the same for Memory
)

const format = "1"

// ErrInUse means that another process has the directory open.
var ErrInUse = errors.New("disklog: the directory is in use by another process")

// openFile opens the file in dir, and makes both if they are not there.
func openFile(dir string, readOnly bool) (*bbolt.DB, error) {
	path := filepath.Join(dir, FileName)
	if !readOnly {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	o := &bbolt.Options{
		Timeout: time.Second, ReadOnly: readOnly,
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	}
	if strconv.IntSize == 64 {
		o.InitialMmapSize = 4 << 30 // address space, not memory: growing it later would make the writer wait for readers
	}
	db, err := bbolt.Open(path, 0o640, o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	case err != nil:
		return nil, fmt.Errorf("disklog: open %s: %w", path, err)
	}
	if err := checkFormat(db, readOnly); err != nil {
		db.Close()
		return nil, fmt.Errorf("disklog: open %s: %w", path, err)
	}
	return db, syncDir(dir)
}

// checkFormat makes the buckets of a new file.
func checkFormat(db *bbolt.DB, readOnly bool) error {
	found := ""
	if err := db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(metaBucket); b != nil {
			found = string(b.Get(formatKey))
		}
		return nil
	}); err != nil {
		return err
	}
	if found != "" && found != format {
		return fmt.Errorf("its format is %q, this program knows %q", found, format)
	}
	if found != "" || readOnly {
		return nil
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{entriesBucket, topicsBucket, valuesBucket, keysBucket, metaBucket} {
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
