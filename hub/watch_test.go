package hub_test

import (
	"errors"
	"testing"

	"github.com/weirstream/weir/hub"
)

// signalled reports whether a watch has something to say, and hears it.
func signalled(w *hub.Watch) bool {
	select {
	case <-w.Ready():
		return true
	default:
		return false
	}
}

func TestWatchHearsItsTopicsOnly(t *testing.T) {
	h, err := hub.New(hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	w, err := h.Watch("a", "b/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"a message", func() { publish(t, h, message("a")) }, true},
		{"three messages", func() { publish(t, h, message("a")); publish(t, h, message("b/1")); publish(t, h, message("a")) }, true},
		{"a message elsewhere", func() { publish(t, h, message("c")) }, false},
		{"a call", func() { h.Wake("b/2") }, true},
		{"a call for another topic", func() { h.Wake("c") }, false},
		{"a message after the end", func() { w.Stop(); w.Stop(); publish(t, h, message("a")) }, false},
	} {
		c.do()
		if got := signalled(w); got != c.want || signalled(w) {
			t.Errorf("%s: signalled is %v, want %v and once", c.what, got, c.want)
		}
	}
}

func TestWatchIsClosedWithTheHub(t *testing.T) {
	h, err := hub.New(hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := h.Watch("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := h.Watch("a")
	if err != nil {
		t.Fatal(err)
	}
	<-before.Closed()
	<-after.Closed()
	before.Stop()
	after.Stop()
}

func TestWatchRefusesWhatIsNoPattern(t *testing.T) {
	h, err := hub.New(hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Watch("a//b"); !errors.Is(err, hub.ErrPattern) {
		t.Errorf("Watch of a//b: error %v, want ErrPattern", err)
	}
}

func message(topic string) hub.Message {
	return hub.Message{Topics: []string{topic}, Data: []byte("x")}
}
