package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// store makes a log as a server leaves it: topic orders/eu keeps its newest two.
func store(t *testing.T, o disklog.Options) (dir string, l *disklog.Log) {
	t.Helper()
	dir = t.TempDir()
	o.History.Rules = []eventlog.Rule{{Pattern: "orders/eu", Retention: eventlog.Retention{MaxEntries: 2}}}
	l, err := disklog.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, m := range []eventlog.Message{
		{Topics: []string{"orders/eu"}, Data: []byte("one")},
		{Topics: []string{"orders/eu"}, Data: []byte("two")},
		{Topics: []string{"news", "orders/us"}, Type: "price", Key: "k", Data: []byte(`{"eur":17,"html":"<b>"}`), IdempotencyKey: "once"},
		{Topics: []string{"orders/eu"}, Data: []byte("three\nlines")},
		{Topics: []string{"news"}, ID: "chosen", Data: []byte("\xff\x00")},
	} {
		if err := l.Append(t.Context(), &eventlog.Entry{Message: m}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Commit(t.Context(), []eventlog.Put{{Key: "producer", Value: []byte("7")}}); err != nil {
		t.Fatal(err)
	}
	return dir, l
}

// normal replaces what differs from run to run: the directory, the epoch, times, ages
// and sizes of the file.
func normal(dir, out string) string {
	out = strings.ReplaceAll(out, dir, "DIR")
	for pattern, with := range map[string]string{
		`\d{4}-\d\d-\d\dT[0-9:.]+Z`:       "TIME",
		`\b[a-z2-7]{8}-(\d)`:              "EPOCH-$1",
		`(epoch +)[a-z2-7]{8}`:            "${1}EPOCH",
		`"epoch":"[a-z2-7]{8}"`:           `"epoch":"EPOCH"`,
		`[0-9.]+ [KM]iB`:                  "SIZE",
		`"(file|free)_bytes":\d+`:         `"${1}_bytes":SIZE`,
		`(?m)(\d +)\d+s? +(\d+|-)$`:       "${1}AGE  $2",
		`pages \d+`:                       "pages N",
		`page \d+`:                        "page N",
		` of the file has \d+ bytes.*`:    " of the file",
		`(?m)^(file +)[0-9]+ B, of which`: "${1}SIZE, of which",
	} {
		out = regexp.MustCompile(pattern).ReplaceAllString(out, with)
	}
	return out
}

func expectLog(t *testing.T, dir string, args string, want result) {
	t.Helper()
	words := append([]string{"log"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)
	got := weir(words...)
	got.out, got.err = normal(dir, got.out), normal(dir, got.err)
	expect(t, words, got, want)
}

func TestLogInfo(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	expectLog(t, dir, "info DIR", result{0, `epoch             EPOCH
format            1
ended cleanly     yes
head              5
entries           4
oldest            2, TIME
newest            5, TIME
data              39 B
file              SIZE, of which SIZE are free
topics            3
idempotency keys  1
values            1
`, ""})
	expectLog(t, dir, "info --json DIR", result{0, `{"epoch":"EPOCH","format":"1","clean":true,"head":5,"entries":4,"deleting":0,` +
		`"oldest":2,"oldest_time":"TIME","newest":5,"newest_time":"TIME","data_bytes":39,"file_bytes":SIZE,"free_bytes":SIZE,` +
		`"topics":3,"idempotency_keys":1,"values":1}` + "\n", ""})
}

// TestLogInfoAfterACrash copies the file while the log is open, which is what a
// process that is killed leaves behind.
func TestLogInfoAfterACrash(t *testing.T) {
	dir, _ := store(t, disklog.Options{Rules: []disklog.Rule{{Pattern: "news", Durability: disklog.Memory}}})
	crashed := t.TempDir()
	b, err := os.ReadFile(filepath.Join(dir, disklog.FileName))
	if err == nil {
		err = os.WriteFile(filepath.Join(crashed, disklog.FileName), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := weir("log", "info", crashed); got.code != 0 || !strings.Contains(got.out, "ended cleanly     no: positions up to 65541 may have been issued\n") {
		t.Errorf("weir log info gives %+v", got)
	}
	l, err := disklog.Open(crashed, disklog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if got := weir("log", "info", crashed); !strings.Contains(got.out, "may be lost       interval up to 65541, memory up to 65541\n") {
		t.Errorf("after the log was opened again: %+v", got)
	}
}

func TestLogTopics(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Forget("orders/us")
	l.Close()
	expectLog(t, dir, "topics DIR", result{0, `TOPIC      ENTRIES  BYTES  OLDEST  NEWEST  AGE  LOST UP TO
news       2        25     3       5       AGE  -
orders/eu  2        14     2       4       AGE  1
orders/us  0        0      -       -       -    3
`, ""})
	expectLog(t, dir, "topics DIR orders/* --sort bytes --limit 1 --json", result{0,
		`{"topic":"orders/eu","entries":2,"bytes":14,"oldest":2,"oldest_time":"TIME","newest":4,"newest_time":"TIME","lost":1}` + "\n", ""})
}

func TestLogTopicsSorts(t *testing.T) {
	dir := t.TempDir()
	l, err := disklog.Open(dir, disklog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ topic, data string }{{"a", "0123456789"}, {"b", "0"}, {"c", "0123456789"}, {"b", "0"}, {"b", "0"}, {"c", "0123456789"}} {
		if err := l.Append(t.Context(), &eventlog.Entry{Message: eventlog.Message{Topics: []string{m.topic}, Data: []byte(m.data)}}); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	for order, want := range map[string]string{"name": "a b c ", "bytes": "c a b ", "entries": "b c a "} {
		got := ""
		for line := range strings.Lines(weir("log", "topics", "--json", dir, "--sort", order).out) {
			var topic struct{ Topic string }
			if err := json.Unmarshal([]byte(line), &topic); err != nil {
				t.Fatal(err)
			}
			got += topic.Topic + " "
		}
		if got != want {
			t.Errorf("by %s: %s, want %s", order, got, want)
		}
	}
}

func TestLogCat(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	two := `{"id":"EPOCH-2","topic":"orders/eu","time":"TIME","data":"two"}` + "\n"
	three := `{"id":"EPOCH-3","topic":"news","topics":["news","orders/us"],"type":"price","key":"k","time":"TIME","data":"{\"eur\":17,\"html\":\"<b>\"}"}` + "\n"
	four := `{"id":"EPOCH-4","topic":"orders/eu","time":"TIME","data":"three\nlines"}` + "\n"
	five := `{"id":"chosen","topic":"news","time":"TIME","base64":true,"data":"/wA="}` + "\n"
	expectLog(t, dir, "cat DIR", result{0, two + three + four + five, ""})
	expectLog(t, dir, "cat DIR orders/*", result{0, two + three + four, ""})
	expectLog(t, dir, "cat DIR orders/us news", result{0, three + five, ""})
	expectLog(t, dir, "cat DIR --last 2", result{0, four + five, ""})
	expectLog(t, dir, "cat DIR news --last 1", result{0, five, ""})
	expectLog(t, dir, "cat DIR --last 0", result{0, "", ""})
	expectLog(t, dir, "cat DIR orders/eu --raw", result{0, "two\nthree\nlines\n", ""})
	expectLog(t, dir, "cat DIR --since 1h", result{0, two + three + four + five, ""})
	expectLog(t, dir, "cat DIR --since 2999-01-01T00:00:00Z", result{0, "", ""})
	expectLog(t, dir, "cat DIR nothing", result{0, "", ""})
}

func TestLogCatStartsAtATime(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	time.Sleep(2 * time.Millisecond) // the clock of the log goes on
	e := &eventlog.Entry{Message: eventlog.Message{Topics: []string{"late"}, Data: []byte("late")}}
	if err := l.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	l.Close()
	got := weir("log", "cat", dir, "--raw", "--since", e.Time.Format(time.RFC3339Nano))
	expect(t, nil, got, result{0, "late\n", ""})
}

// TestLogCatPassesOverDamage destroys two messages of many: the others are printed.
func TestLogCatPassesOverDamage(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	damage(t, dir, "two", "TWO")
	expectLog(t, dir, "cat DIR orders/eu --raw", result{1, "three\nlines\n",
		"weir: log cat: disklog: the file is damaged: damaged record at position 2: checksum\n" +
			"weir: log cat: 1 places are damaged; weir log verify DIR tells more\n"})
}

func TestLogCatEndsWithItsContext(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"info", "topics", "cat", "verify", "compact"} {
		c := call{ctx: ctx, args: []string{"log", name, dir}}
		expect(t, c.args, c.run(), result{130, "", ""})
	}
}

// damage changes bytes in the file of a log.
func damage(t *testing.T, dir, old, fresh string) {
	t.Helper()
	path := filepath.Join(dir, disklog.FileName)
	b, err := os.ReadFile(path)
	if err == nil && !bytes.Contains(b, []byte(old)) {
		err = fmt.Errorf("%q is not in the file", old)
	}
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(b, []byte(old), []byte(fresh)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLogVerify(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	expectLog(t, dir, "verify DIR", result{0, "DIR: sound; entries 4, topics with losses 1, idempotency keys 1, values 1, pages N\n", ""})
	damage(t, dir, "two", "TWO")
	damage(t, dir, "vproducer", "xproducer")
	expectLog(t, dir, "verify DIR", result{1, "entries: damaged record at position 2: checksum\nvalues: key \"xproducer\" does not begin with v\n",
		"weir: log verify: DIR: 2 places are damaged\n"})
	for _, name := range []string{"info", "topics", "compact"} {
		got := weir("log", name, dir)
		if got.code != 1 || !strings.Contains(got.err, "position 2: checksum") || !strings.Contains(got.err, "weir log verify "+dir) {
			t.Errorf("weir log %s of a damaged log gives %+v", name, got)
		}
	}
}

func TestLogCompact(t *testing.T) {
	dir, l := store(t, disklog.Options{})
	l.Close()
	before := weir("log", "cat", dir)
	expectLog(t, dir, "compact DIR", result{0, "DIR: SIZE before, SIZE after\n", ""})
	expect(t, nil, weir("log", "cat", dir), before)
}

// TestLogOfARunningServerIsRefused holds the log open. Another server is refused, too.
func TestLogOfARunningServerIsRefused(t *testing.T) {
	dir, _ := store(t, disklog.Options{})
	for _, name := range []string{"info", "topics", "cat", "verify", "compact"} {
		expectLog(t, dir, name+" DIR", result{75, "", "weir: log " + name + ": DIR is in use by another process (stop the server first)\n"})
	}
	got := weir("serve", "--data", dir, "--listen", "127.0.0.1:0")
	got.err = strings.ReplaceAll(got.err, dir, "DIR")
	expect(t, nil, got, result{75, "", "weir: serve: disklog: the directory is in use by another process: DIR\n"})
}

func TestLogThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"info", "topics", "cat", "verify", "compact"} {
		expectLog(t, dir, name+" DIR", result{1, "", "weir: log " + name + ": there is no log in DIR\n"})
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("looking for a log has made %v", files)
	}
}

func TestLogCalledWrongly(t *testing.T) {
	for args, want := range map[string]string{
		"info":                      "log info: wrong number of arguments (0); usage: weir log info DIR [flags]",
		"verify a b":                "log verify: wrong number of arguments (2); usage: weir log verify DIR [flags]",
		"topics a --sort byte":      `log topics: --sort "byte" is not one of name, entries, bytes; did you mean "bytes"?`,
		"topics a --limit -1":       "log topics: --limit -1 is below the limit 0",
		"cat a --last 1 --since 1m": "log cat: --since and --last cannot be combined: each says where to begin",
		"cat a --last -1":           "log cat: --last -1 is below the limit 0",
		"cat a --since yesterday":   `log cat: --since is "yesterday": want an age like 10m, or an RFC 3339 time`,
		"cat a b//c":                `log cat: bad topic: pattern "b//c": empty segment at byte 2`,
		"cta":                       `log: unknown command "cta"; did you mean "cat"?`,
	} {
		words := append([]string{"log"}, strings.Fields(args)...)
		expect(t, words, weir(words...), result{2, "", "weir: " + want + "\n"})
	}
}
