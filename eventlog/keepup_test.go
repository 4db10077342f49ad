package eventlog_test

import (
	"iter"
	"maps"
	"strings"
	"testing"

	"github.com/weirstream/weir/eventlog"
)

// A racingLog has its values change while somebody reads them: of each key before it is
// yielded as it was.
type racingLog struct {
	*eventlog.Memory
	t *testing.T
}

func (l racingLog) put(key string, value []byte) {
	l.t.Helper()
	if err := l.Commit(l.t.Context(), []eventlog.Put{{Key: key, Value: value}}); err != nil {
		l.t.Error(err)
	}
}

func (l racingLog) Values(prefix string) iter.Seq2[string, []byte] {
	before := maps.Collect(l.Memory.Values(prefix))
	return func(yield func(string, []byte) bool) {
		for key, value := range before {
			switch {
			case strings.HasSuffix(key, "changed"):
				l.put(key, []byte("new"))
			case strings.HasSuffix(key, "deleted"):
				l.put(key, nil)
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

func TestKeepUpEndsWithWhatTheLogHas(t *testing.T) {
	memory, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := racingLog{memory, t}
	for _, key := range []string{"a/kept", "a/changed", "a/deleted", "b/another's"} {
		log.put(key, []byte("old"))
	}
	got := make(map[string]string)
	stop := eventlog.KeepUp(log, "a/", func(key string, value []byte) {
		if got[key] = string(value); value == nil {
			delete(got, key)
		}
	})
	log.put("a/late", []byte("new"))
	log.put("b/late", []byte("new"))
	stop()
	log.put("a/too late", []byte("new"))
	want := map[string]string{"a/kept": "old", "a/changed": "new", "a/late": "new"}
	if !maps.Equal(got, want) {
		t.Errorf("the values are %q, want %q", got, want)
	}
}
