package eventlog_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
)

var background = context.Background()

func open(t testing.TB, o eventlog.Options) *eventlog.Memory {
	t.Helper()
	m, err := eventlog.NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sel(t testing.TB, patterns ...string) *eventlog.Selector {
	t.Helper()
	s, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t testing.TB, m *eventlog.Memory, topics ...string) *eventlog.Entry {
	t.Helper()
	e := &eventlog.Entry{Message: eventlog.Message{Topics: topics, Data: []byte("0123456789")}}
	if err := m.Append(background, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// read returns one page with default limits.
func read(t testing.TB, m *eventlog.Memory, s *eventlog.Selector, after uint64) eventlog.Page {
	t.Helper()
	p, err := m.Read(background, s, after, math.MaxUint64, eventlog.Limit{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func check(t testing.TB, m *eventlog.Memory) {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatalf("the log is inconsistent: %v", err)
	}
}

func TestMemoryIsALog(t *testing.T) {
	logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log { return open(t, o) })
}

func TestMemoryIsALogInVirtualTime(t *testing.T) {
	logtest.RunInBubble(t, func(t *testing.T, o eventlog.Options) eventlog.Log { return open(t, o) })
}

// TestMemoryIsALogWithLowLimits takes the ways through the code that a log takes
// when it is large, or when very many topics are selected.
func TestMemoryIsALogWithLowLimits(t *testing.T) {
	for _, c := range lowLimits {
		t.Run(c.name, func(t *testing.T) {
			logtest.RunInBubble(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
				m := open(t, o)
				m.SetLimits(c.merge, c.scan, c.sweep)
				return m
			})
		})
	}
}

type limits struct {
	name               string
	merge, scan, sweep int
}

var lowLimits = []limits{
	{"merge=32,scan=1,sweep=1024", 32, 1, 1024},
	{"merge=2,scan=3,sweep=1024", 2, 3, 1024},
	{"merge=0,scan=300,sweep=1024", 0, 300, 1024},
	{"merge=0,scan=4096,sweep=1024", 0, 4096, 1024},
}

// modelOptions has a rule of each kind; TotalBytes is reached.
var modelOptions = eventlog.Options{
	Default:    eventlog.Retention{MaxEntries: 8},
	TotalBytes: 20_000,
	Rules: []eventlog.Rule{
		{Pattern: "a", Retention: eventlog.Retention{MaxAge: time.Minute}},
		{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 3}},
		{Pattern: "b/x", Retention: eventlog.Retention{MaxEntries: -1}},
		{Pattern: "b/**", Retention: eventlog.Retention{MaxBytes: 90, MaxAge: 3 * time.Minute}},
		{Pattern: "c/**", Retention: eventlog.Retention{}},
	},
}

func TestMemoryAgreesWithModel(t *testing.T) {
	o := modelOptions
	limits := slices.Concat(lowLimits, []limits{
		{"merge=32,scan=4096,sweep=1024", 32, 4096, 1024},
		{"merge=0,scan=2,sweep=1", 0, 2, 1},
	})
	for seed := range uint64(8) {
		for _, c := range limits {
			t.Run(fmt.Sprintf("seed=%d,%s", seed, c.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := open(t, o)
					m.SetLimits(c.merge, c.scan, c.sweep)
					logtest.Compare(t, m, logtest.Comparison{
						Seed: seed, Steps: 600, Options: o, Size: eventlog.EntrySize, Sleep: time.Sleep,
					})
					check(t, m)
				})
			})
		}
	}
}

// TestDroppedTopicsAreReportedAsLost checks the one promise that is left when
// topics are dropped: whatever is missing has been reported.
func TestDroppedTopicsAreReportedAsLost(t *testing.T) {
	o := eventlog.Options{Default: eventlog.Retention{MaxEntries: 5}, MaxTopics: 3}
	for _, c := range lowLimits {
		m := open(t, o)
		m.SetLimits(c.merge, c.scan, c.sweep)
		var all []*eventlog.Entry
		for i := range 500 {
			topics := []string{fmt.Sprintf("t/%d", i*i%7), fmt.Sprintf("u/%d", i*i*i%11), "t/0"}[:1+i%3]
			all = append(all, add(t, m, topics...))
			for _, p := range []string{"t/0", "t/1", "u/5", "t/*", "u/**", "*/4", "**", "none"} {
				checkNothingMissing(t, m, sel(t, p), all, uint64(i-i%13))
			}
			check(t, m)
		}
	}
}

func checkNothingMissing(t *testing.T, m *eventlog.Memory, s *eventlog.Selector, all []*eventlog.Entry, after uint64) {
	t.Helper()
	for head := m.Head(); after < head; {
		p := read(t, m, s, after)
		for _, e := range all[after:p.Next] {
			if s.MatchEntry(e) && e.Seq > p.Lost && !slices.Contains(p.Entries, e) {
				t.Fatalf("Read(%q, %d): %d is missing, Lost is %d", s, after, e.Seq, p.Lost)
			}
		}
		after = p.Next
	}
}

func TestDroppedTopicIsReportedWhileItsEntriesLiveElsewhere(t *testing.T) {
	m := open(t, eventlog.Options{MaxTopics: 2})
	add(t, m, "a/1", "b") // 1
	add(t, m, "b")        // 2
	add(t, m, "c")        // 3: a/1 goes
	for _, merge := range []int{32, 0} {
		m.SetLimits(merge, 4096, 1024)
		for p, want := range map[string]uint64{"a/1": 1, "a/*": 1, "b": 0, "**": 0} {
			if got := read(t, m, sel(t, p), 0).Lost; got != want {
				t.Errorf("Read(%q, 0).Lost = %d, want %d", p, got, want)
			}
		}
	}
	check(t, m)
}

func TestMaxTopicsDropsTheIdlest(t *testing.T) {
	m := open(t, eventlog.Options{MaxTopics: 3})
	for _, name := range []string{"a", "b", "c", "a", "d"} { // b goes
		add(t, m, name)
	}
	m.Forget("c")
	add(t, m, "e") // c goes, it keeps nothing
	for name, want := range map[string]int{"a": 2, "b": 0, "c": 0, "d": 1, "e": 1} {
		if b := m.Bounds(sel(t, name)); b.Entries != want {
			t.Errorf("%q keeps %d entries, want %d", name, b.Entries, want)
		}
	}
	// What is not known may have been lost up to 3, the newest of b and c. So may
	// what was not known when d came, up to 2.
	for name, want := range map[string]uint64{"a": 0, "b": 3, "never": 3, "d": 2, "*": 3} {
		if p := read(t, m, sel(t, name), 0); p.Lost != want {
			t.Errorf("Read(%q, 0).Lost = %d, want %d", name, p.Lost, want)
		}
		if p := read(t, m, sel(t, name), 3); p.Lost != 0 {
			t.Errorf("Read(%q, 3).Lost = %d, want 0", name, p.Lost)
		}
	}
}

func TestSingleTopicIsEnoughForManyTopicEntries(t *testing.T) {
	m := open(t, eventlog.Options{MaxTopics: 1})
	for range 5 {
		add(t, m, "a", "b", "c")
	}
	if b := m.Bounds(sel(t, "**")); b.Entries != 1 || b.Newest != 5 {
		t.Errorf("Bounds = %+v, want one entry, at 5", b)
	}
	if p := read(t, m, sel(t, "a"), 0); p.Lost != 5 || p.Entries != nil {
		t.Errorf("reading a dropped topic gives %d entries, lost %d; want 0, 5", len(p.Entries), p.Lost)
	}
}

func TestEntryLargerThanTheLogIsNotKept(t *testing.T) {
	m := open(t, eventlog.Options{TotalBytes: 1})
	add(t, m, "a", "b")
	add(t, m, "a")
	if b := m.Bounds(sel(t, "a")); b != (eventlog.Bounds{Lost: 2}) {
		t.Errorf("Bounds = %+v, want none, lost 2", b)
	}
	check(t, m)
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o    eventlog.Options
		want string
	}{
		{eventlog.Options{TotalBytes: -1}, "eventlog: Options.TotalBytes is -1, want 0 or more"},
		{eventlog.Options{MaxTopics: -2}, "eventlog: Options.MaxTopics is -2, want 0 or more"},
		{eventlog.Options{Default: eventlog.Retention{MaxAge: -time.Second}}, "eventlog: Options.Default.MaxAge is -1s, want 0 or more"},
		{eventlog.Options{Rules: []eventlog.Rule{{Pattern: "a"}, {Pattern: "a//b"}}}, `eventlog: Options.Rules[1].Pattern: pattern "a//b": empty segment at byte 2`},
		{eventlog.Options{Rules: []eventlog.Rule{{Pattern: "a", Retention: eventlog.Retention{MaxBytes: -7}}}}, "eventlog: Options.Rules[0].Retention.MaxBytes is -7, want 0 or more"},
	} {
		if _, err := eventlog.NewMemory(c.o); err == nil || err.Error() != c.want {
			t.Errorf("NewMemory(%+v) = %v, want %s", c.o, err, c.want)
		}
	}
}

func TestDefaultRetentionIsTenThousandEntriesAndADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, eventlog.Options{})
		for range 10_003 {
			add(t, m, "a")
		}
		if b := m.Bounds(sel(t, "a")); b.Entries != 10_000 || b.Lost != 3 {
			t.Errorf("Bounds = %+v, want 10,000 entries, lost 3", b)
		}
		time.Sleep(24*time.Hour - 1)
		if b := m.Bounds(sel(t, "a")); b.Entries != 10_000 {
			t.Errorf("just before a day is over %d entries are kept, want 10,000", b.Entries)
		}
		time.Sleep(time.Nanosecond)
		if b := m.Bounds(sel(t, "a")); b != (eventlog.Bounds{Lost: 10_003}) {
			t.Errorf("after a day Bounds = %+v, want none, lost 10,003", b)
		}
	})
}

func TestHugeMaxAgeNeverExpires(t *testing.T) {
	m := open(t, eventlog.Options{Default: eventlog.Retention{MaxAge: math.MaxInt64}})
	add(t, m, "a")
	if b := m.Bounds(sel(t, "a")); b.Entries != 1 {
		t.Errorf("Bounds = %+v, want one entry", b)
	}
}

func TestClockThatGoesBackKeepsTheOrder(t *testing.T) {
	m := open(t, eventlog.Options{})
	ahead := time.Now().Add(time.Hour)
	m.SetLastTime(ahead)
	if e := add(t, m, "a"); e.Time.Before(ahead.Truncate(0)) {
		t.Errorf("entry has time %v after %v", e.Time, ahead)
	}
}

func TestAppendDropsWhatHasExpiredInOtherTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, eventlog.Options{Default: eventlog.Retention{MaxAge: time.Hour}})
		for range 10 {
			add(t, m, "a")
		}
		time.Sleep(time.Hour)
		add(t, m, "b")
		if n := m.Kept(); n != 1 {
			t.Errorf("%d entries are in memory, want 1", n)
		}
	})
}

func TestSweepGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, eventlog.Options{Default: eventlog.Retention{MaxAge: time.Hour}})
		add(t, m, "a")
		e := weak.Make(add(t, m, "b"))
		runtime.GC()
		if e.Value() == nil {
			t.Fatal("an entry that is kept is freed")
		}
		time.Sleep(time.Hour)
		m.Sweep()
		runtime.GC()
		if e.Value() != nil {
			t.Error("an entry that has expired is not freed by Sweep")
		}
		runtime.KeepAlive(m)
	})
}

func TestMemoryStaysWithinTotalBytes(t *testing.T) {
	const total = 4 << 20
	for _, c := range []struct {
		name    string
		size    int
		topics  int
		message eventlog.Message
	}{
		{"small", 16, 1, eventlog.Message{}},
		{"large", 5000, 1, eventlog.Message{}},
		{"chosen", 16, 1, eventlog.Message{ID: "x"}},
		{"topics", 16, 5, eventlog.Message{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			m := open(t, eventlog.Options{Default: eventlog.Retention{MaxEntries: 1 << 20}, TotalBytes: total})
			for i := range 3 * total / (c.size + 400) {
				msg := c.message
				msg.Data = make([]byte, c.size)
				if msg.ID != "" {
					msg.ID = fmt.Sprintf("%08d", i)
				}
				for k := range c.topics {
					msg.Topics = append(msg.Topics, fmt.Sprintf("t/%d/%d", k, i%100))
				}
				if err := m.Append(background, &eventlog.Entry{Message: msg}); err != nil {
					t.Fatal(err)
				}
			}
			b := m.Bounds(sel(t, "**"))
			used := heap() - before
			t.Logf("%d entries, %.0f bytes each, of which data %d", b.Entries, float64(used)/float64(b.Entries), c.size)
			if b.Lost == 0 || used > total*12/10 || used < total/2 {
				t.Errorf("the log takes %d bytes, TotalBytes is %d; %+v", used, total, b)
			}
			runtime.KeepAlive(m)
		})
	}
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestPublishersTopicsAreLeftAlone(t *testing.T) {
	m := open(t, eventlog.Options{})
	topics := []string{"a", "b", "a"}
	add(t, m, topics...)
	if !slices.Equal(topics, []string{"a", "b", "a"}) {
		t.Errorf("the publisher's slice is now %q", topics)
	}
}

func TestFindReturnsTheNewest(t *testing.T) {
	m := open(t, eventlog.Options{})
	for range eventlog.MaxFound + 10 {
		e := &eventlog.Entry{Message: eventlog.Message{Topics: []string{"a"}, ID: "1"}}
		if err := m.Append(background, e); err != nil {
			t.Fatal(err)
		}
	}
	got := m.Find(sel(t, "a"), "1")
	if len(got) != eventlog.MaxFound || got[0] != 11 || !slices.IsSorted(got) {
		t.Errorf("Find = %v, want 11 to %d", got, eventlog.MaxFound+10)
	}
}

func TestErrorsNameTheValue(t *testing.T) {
	m := open(t, eventlog.Options{})
	id := "abcdefgh-12"
	for want, msg := range map[string]eventlog.Message{
		`eventlog: bad topic: topic "a//b": empty segment at byte 2`: {Topics: []string{"x", "a//b"}},
		`eventlog: bad topic: entry has no topic`:                    {},
		`eventlog: bad topic: entry has 257 topics, limit 256`:       {Topics: strings.Split(strings.Repeat("a,", 256)+"a", ",")},
		`eventlog: bad id: "abcdefgh-12" has the form of a position`: {Topics: []string{"a"}, ID: id},
	} {
		if err := m.Append(background, &eventlog.Entry{Message: msg}); err == nil || err.Error() != want {
			t.Errorf("Append = %v, want %s", err, want)
		}
	}
}

func TestEachLogHasItsOwnEpoch(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		epoch := open(t, eventlog.Options{}).Epoch()
		if _, _, ok := eventlog.ParseID(eventlog.FormatID(epoch, 1)); !ok || seen[epoch] {
			t.Errorf("epoch %q is malformed or not new", epoch)
		}
		seen[epoch] = true
	}
}

// TestEverythingAtOnce is for the race detector, and checks that what readers see
// is in order and complete but for what is reported.
func TestEverythingAtOnce(t *testing.T) {
	m := open(t, eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 20, MaxAge: 5 * time.Millisecond}, TotalBytes: 30_000, MaxTopics: 10,
	})
	m.SetLimits(2, 7, 3)
	const writers, each = 3, 400
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				add(t, m, fmt.Sprintf("t/%d", i%12), fmt.Sprintf("w/%d", w))
				if i%50 == 0 {
					m.Forget(fmt.Sprintf("t/%d", i%12))
				}
			}
		})
	}
	for _, s := range []*eventlog.Selector{sel(t, "w/0"), sel(t, "w/*"), sel(t, "t/1", "w/2"), sel(t, "**")} {
		reading.Go(func() {
			for after := uint64(0); after < writers*each; {
				p := read(t, m, s, after)
				if !slices.IsSortedFunc(p.Entries, func(a, b *eventlog.Entry) int { return int(a.Seq) - int(b.Seq) }) {
					t.Errorf("page of %q is out of order", s)
				}
				after = p.Next
				m.Bounds(s)
				m.Last(s, 5)
				m.Since(s, time.Now().Add(-time.Millisecond))
			}
		})
	}
	writing.Wait()
	reading.Wait()
	check(t, m)
}

func TestAppendAllocs(t *testing.T) {
	m := open(t, eventlog.Options{Default: eventlog.Retention{MaxEntries: 100, MaxAge: time.Hour}})
	entries := make([]eventlog.Entry, 3000)
	for i := range entries {
		entries[i].Topics = []string{[]string{"a", "b/c", "d"}[i%3]}
	}
	i := 0
	appendOne := func() {
		if err := m.Append(background, &entries[i]); err != nil {
			t.Fatal(err)
		}
		i++
	}
	for i < 1900 {
		appendOne()
	}
	if n := testing.AllocsPerRun(1000, appendOne); n > 0 {
		t.Errorf("Append to full topics allocates %v times, want 0", n)
	}
}

func TestReadAllocatesThePageOnly(t *testing.T) {
	m := open(t, eventlog.Options{})
	for i := range 5000 {
		add(t, m, fmt.Sprintf("t/%d", i%10))
	}
	for _, s := range []*eventlog.Selector{sel(t, "t/1"), sel(t, "t/1", "t/2"), sel(t, "t/*"), sel(t, "**")} {
		for _, after := range []uint64{0, 4900, 4999} {
			p := read(t, m, s, after) // and the selector is known now
			want := float64(min(1, len(p.Entries)))
			if n := testing.AllocsPerRun(100, func() { read(t, m, s, after) }); n > want {
				t.Errorf("Read(%q, %d) of %d entries allocates %v times, want %v", s, after, len(p.Entries), n, want)
			}
		}
	}
}

func FuzzMemoryAgreesWithModel(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(2), uint8(1), uint8(3))
	f.Add(uint64(2), uint8(32), uint8(200), uint8(100), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, merge, scan, sweep, retention uint8) {
		o := modelOptions
		o.Rules = o.Rules[int(retention)%len(o.Rules):]
		synctest.Test(t, func(t *testing.T) {
			m := open(t, o)
			m.SetLimits(int(merge), 1+int(scan), 1+int(sweep))
			logtest.Compare(t, m, logtest.Comparison{
				Seed: seed, Steps: 150, Options: o, Size: eventlog.EntrySize, Sleep: time.Sleep,
			})
		})
	})
}

func TestTopicsAreCounted(t *testing.T) {
	m := open(t, eventlog.Options{MaxTopics: 3})
	for i, want := range []int{1, 2, 3, 3} {
		add(t, m, fmt.Sprint("topic ", i))
		add(t, m, fmt.Sprint("topic ", i))
		if got := m.Topics(); got != want {
			t.Errorf("after %d topics: %d, want %d", i+1, got, want)
		}
	}
}
