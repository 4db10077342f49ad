package cli

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLiveCountStaysBelowOtherLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		n := &notes{w: &b, prefix: "weir: pub", live: true}
		n.set("1 published")
		n.set("2 published") // too soon
		if n.stale() == nil {
			t.Error("nothing is due although 2 is not shown")
		}
		n.say("hello")
		time.Sleep(meterEvery)
		n.set("3 published")
		if n.stale() != nil {
			t.Error("something is due although 3 is shown")
		}
		n.erase()
		want := "\r\x1b[K1 published" + "\r\x1b[K" + "weir: pub: hello\n" + "\r\x1b[K2 published" + "\r\x1b[K3 published" + "\r\x1b[K"
		if b.String() != want {
			t.Errorf("wrote\n%q, want\n%q", b.String(), want)
		}
	})
}

func TestLiveCountCatchesUpByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{w: new(strings.Builder), live: true}
		n.set("1")
		n.set("2")
		start := time.Now()
		<-n.stale()
		n.draw()
		if n.shown != "2" || time.Since(start) != meterEvery {
			t.Errorf("shows %q after %v, want 2 after %v", n.shown, time.Since(start), meterEvery)
		}
	})
}

func TestQuietAndNoTerminalShowNoCount(t *testing.T) {
	for _, n := range []*notes{{quiet: true, live: true}, {}} {
		var b strings.Builder
		n.w = &b
		n.set("1 published")
		n.draw()
		if b.Len() > 0 || n.stale() != nil {
			t.Errorf("%+v wrote %q", n, b.String())
		}
	}
}
