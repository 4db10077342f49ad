package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

// weakConfig gives topics a durability each. What is not always on the disk waits
// long enough to be lost now and then.
const weakConfig = `
history:
  topics:
    - {topic: soon, durability: interval}
    - {topic: never, durability: memory}
disk: {interval: 30ms}
`

// A visitor follows one topic, one visit to each life of the server, and holds it to
// this: what is missing was announced by a gap.
type visitor struct {
	*follower
	topic   string
	ledger  *ledger
	got     map[string]bool // messages of the topic
	last    map[string]int  // by publisher: its last number
	checked int             // receipts that were looked at
	acked   int             // of them: for messages of the topic
	lost    int             // of those: missing
	gaps    int
	marker  string // the visit ends with this message
}

func newVisitor(t *testing.T, s *server, topic string, book *ledger) *visitor {
	v := &visitor{topic: topic, ledger: book, got: make(map[string]bool), last: make(map[string]int)}
	v.follower = newFollower(s.url, "topic="+topic, func(e sse.Event) { v.hear(t, e) })
	return v
}

func (v *visitor) hear(t *testing.T, e sse.Event) {
	if e.Type == gapEvent {
		v.gaps++
		return
	}
	data := string(e.Data)
	v.ledger.saw(e.ID, data)
	if e.Data == nil {
		return
	}
	name, number := sender(data)
	if number <= v.last[name] {
		t.Errorf("topic %s: %q comes after number %d", v.topic, data, v.last[name])
	}
	v.last[name], v.got[data] = number, true
}

// visit reads all there is, and checks what is missing.
func (v *visitor) visit(t *testing.T, s *server, round int) {
	t.Helper()
	life, gaps := v.ledger.now(), v.gaps
	due := v.ledger.receipts(v.checked)
	v.checked += len(due)
	v.marker = fmt.Sprintf("%s-marker %d", v.topic, round+1)
	v.ledger.saw(s.publish(v.topic, v.marker), v.marker)
	v.catchUp(t, func() bool { return v.got[v.marker] })
	for _, r := range due {
		if !strings.HasPrefix(r.data, v.topic) {
			continue
		}
		v.acked++
		if v.got[r.data] {
			continue
		}
		v.lost++
		if r.life == life || v.gaps == gaps {
			t.Errorf("topic %s: %q was acknowledged in life %d and is missing in life %d, which told of %d gaps", v.topic, r.data, r.life, life, v.gaps-gaps)
		}
	}
}

// weakLoad returns visitors of all topics, and the functions of publishers and of
// readers that follow all the time.
func weakLoad(t *testing.T, s *server, book *ledger) (visitors []*visitor, fns []func(context.Context)) {
	for topic, every := range map[string]time.Duration{"safe": 40 * time.Millisecond, "soon": 2 * time.Millisecond, "never": 2 * time.Millisecond} {
		visitors = append(visitors, newVisitor(t, s, topic, book))
		live := newFollower(s.url, "topic="+topic, func(e sse.Event) {
			if e.Type != gapEvent {
				book.saw(e.ID, string(e.Data))
			}
		})
		fns = append(fns, live.run)
		for name, batch := range map[string]int{"single": 1, "batch": 10} {
			p := &publisher{name: topic + "-" + name, topic: topic, batch: batch, every: every, server: s, ledger: book}
			fns = append(fns, p.run)
		}
	}
	return visitors, fns
}

func TestWhatAKillMayLoseIsAnnounced(t *testing.T) {
	s := newServer(t, withConfig(t, weakConfig)...)
	book := newLedger()
	visitors, fns := weakLoad(t, s, book)
	stop := background(t, fns...)
	start := time.Now()
	n := lives(s, book, rounds, lasting(0, 0.2), func(round int) {
		for _, v := range visitors {
			v.visit(t, s, round)
		}
		pause(rand.N(120 * time.Millisecond))
	})
	took := time.Since(start)
	s.start()
	stop()
	for _, v := range visitors {
		v.visit(t, s, n)
		if loses := v.topic != "safe"; loses != (v.gaps > 0) || loses != (v.lost > 0) {
			t.Errorf("topic %s: %d messages lost and %d gaps, in %d kills", v.topic, v.lost, v.gaps, n)
		}
		t.Logf("topic %-5s: %d messages acknowledged, %d lost, %d gaps", v.topic, v.acked, v.lost, v.gaps)
	}
	book.check(t)
	t.Logf("%d kills in %v", n, took.Round(time.Millisecond))
}
