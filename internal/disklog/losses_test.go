package disklog_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// TestDurabilityChangedOverACrash loses a message of durability interval in a crash and
// opens the log with durability always: the loss must be told all the same.
func TestDurabilityChangedOverACrash(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{Interval: time.Hour, Rules: []disklog.Rule{{Pattern: "soon", Durability: disklog.Interval}}})
	add(t, l, message("soon", "1"))
	add(t, l, message("soon", "2"))
	if es, lost := read(t, open(t, crashed(t, dir), disklog.Options{}), "soon"); len(es) < 2 && lost < 2 {
		t.Errorf("%d messages, lost up to %d: position 2 is gone and nobody is told", len(es), lost)
	}
}

// TestKeysInTheFileAreBounded uses far more than are remembered.
func TestKeysInTheFileAreBounded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{History: eventlog.Options{MaxKeys: 10}})
	for i := range 1000 {
		add(t, l, keyed("a", fmt.Sprint(i)))
	}
	l.Close()
	db, err := bbolt.Open(filepath.Join(dir, disklog.FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket([]byte("keys")).Stats().KeyN; n > 100 {
			t.Errorf("the file has %d idempotency keys, 10 are remembered", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
