package disklog_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

const openEntries = 1_000_000

// BenchmarkOpen opens a log of a million messages with 128 bytes of data, and tells
// what its index takes: the memory of an entry whose data is on the disk alone.
func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		name    string
		message func(i int) eventlog.Message
	}{
		{"topics=1", func(int) eventlog.Message { return eventlog.Message{Topics: []string{"topic"}} }},
		{"topics=10000", func(i int) eventlog.Message { return eventlog.Message{Topics: []string{numbered("topic", i%10_000)}} }},
		{"topics=10000,each=2", func(i int) eventlog.Message {
			return eventlog.Message{Topics: []string{numbered("topic", i%10_000), "all"}}
		}},
		{"topics=1,ids", func(i int) eventlog.Message {
			return eventlog.Message{Topics: []string{"topic"}, ID: numbered("id", i)}
		}},
	} {
		b.Run(fmt.Sprintf("entries=%d/%s", openEntries, c.name), func(b *testing.B) {
			dir := b.TempDir()
			o := disklog.Options{HotBytes: 1, Durability: disklog.Interval, History: keepAll.History}
			fillLog(b, dir, o, c.message)
			var size int64
			for b.Loop() {
				size = benchmarkOpen(b, dir, o)
			}
			b.ReportMetric(float64(size)/openEntries, "bytes/entry")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/open")
		})
	}
}

func numbered(name string, i int) string { return fmt.Sprintf("%s/%d", name, i) }

// benchmarkOpen returns by how many bytes the heap has grown.
func benchmarkOpen(b *testing.B, dir string, o disklog.Options) int64 {
	b.StopTimer()
	defer b.StartTimer()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.StartTimer()
	l, err := disklog.Open(dir, o)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

func fillLog(b *testing.B, dir string, o disklog.Options, messageOf func(i int) eventlog.Message) {
	b.Helper()
	l := open(b, dir, o)
	data := make([]byte, 128)
	for i := 0; i < openEntries; {
		var batch []*eventlog.Entry
		for range 1000 {
			m := messageOf(i)
			m.Data = data
			batch = append(batch, &eventlog.Entry{Message: m})
			i++
		}
		add(b, l, batch...)
	}
	l.Close()
}
