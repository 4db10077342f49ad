package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed/feedtest"
)

// TestWhatIsGivenUpBecomesADeadLetter has receivers that never accept.
func TestWhatIsGivenUpBecomesADeadLetter(t *testing.T) {
	for _, dead := range []string{"", "dead/hooks"} {
		t.Run(fmt.Sprintf("dead-letter=%q", dead), func(t *testing.T) {
			const bad = 100
			r := newReceiver(t, slices.Repeat([]answer{status(500)}, bad)...)
			b := newBed(t, r)
			b.spec.Topics, b.spec.Events = []string{"**"}, []string{"message"}
			b.spec.GiveUp, b.spec.DeadLetter = 600*time.Millisecond, dead
			run := b.start()
			began := time.Now()
			b.publish("room/1", "price", "short", strings.Repeat("水", 40_000), "\xff"+strings.Repeat("x", 100_000))
			feedtest.Await(t, "events given up", func() error {
				s := run.Stats()
				return feedtest.Not(s.Dead+s.Dropped == 3, "%+v", s)
			})
			if took := time.Since(began); took < b.spec.GiveUp {
				t.Errorf("they were given up after %v, want %v or more", took, b.spec.GiveUp)
			}
			run.stop()
			if s := run.Stats(); dead == "" && s.Dropped != 3 || dead != "" && s.Dead != 3 || s.Requests < 2 {
				t.Errorf("stats are %+v", s)
			}
			if text := b.log.String(); !strings.Contains(text, "were not accepted in time") || !strings.Contains(text, "500 Internal Server Error") {
				t.Errorf("the log says\n%s", text)
			}
			if dead != "" {
				checkLetters(t, b.kept(dead))
			}
			r.mu.Lock()
			r.next = nil
			r.mu.Unlock()
			b.start() // what was given up does not come again, nor do the letters
			b.publish("room/1", "", "next")
			r.await("message room/1 next")
		})
	}
}

func checkLetters(t *testing.T, letters []string) {
	t.Helper()
	if len(letters) != 3 {
		t.Fatalf("%d dead letters: %.300q", len(letters), letters)
	}
	for i, want := range []struct {
		cut  bool
		data string
	}{{false, "short"}, {true, strings.Repeat("水", 64<<10/3)}, {true, "\xff" + strings.Repeat("x", 48<<10-1)}} {
		var l struct {
			Webhook, Reason string
			Cut             bool
			Event           event
		}
		text, ok := strings.CutPrefix(letters[i], "webhook-dead-letter ")
		if err := json.Unmarshal([]byte(text), &l); !ok || err != nil {
			t.Fatalf("dead letter %.300q: %v", letters[i], err)
		}
		data := l.Event.Data
		if l.Event.DataBase64 != nil {
			text, err := base64.StdEncoding.DecodeString(*l.Event.DataBase64)
			if err != nil {
				t.Fatal(err)
			}
			data = new(string(text))
		}
		if l.Webhook != "app" || !strings.HasPrefix(l.Reason, `the receiver answered 500 Internal Server Error: "answer answer`) || len(l.Reason) > 300 ||
			l.Cut != want.cut || *data != want.data || l.Event.Topic != "room/1" || l.Event.Type != "price" {
			t.Errorf("dead letter %d is %.400s with %d bytes, want cut %v, %d bytes", i, text, len(*data), want.cut, len(want.data))
		}
	}
}
