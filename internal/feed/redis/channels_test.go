package redis_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func TestChannelsAndPatterns(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.feed(bed, func(f *feed.Spec) {
		f.Channels, f.Patterns, f.Topic, f.Data = []string{"a", "b"}, []string{"c.*"}, "in/{key}", "{body}{property.pattern?}"
	}).AwaitState(feed.Running)
	for i, channel := range []string{"a", "b", "c.x", "c.y", "d"} {
		s.do("PUBLISH", channel, fmt.Sprint(i))
	}
	bed.AwaitData("in/*", []string{"0", "1", "2c.*", "3c.*"})
	bed.AwaitData("in/c.x", []string{"2c.*"})
}

func TestChannelsArriveInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) { f.Channels = []string{"a"} })
	r.AwaitState(feed.Running)
	for _, n := range feedtest.Numbers(0, 1000) {
		s.do("PUBLISH", "a", n)
	}
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	r.Stop()
}

func TestChannelsAreSubscribedToAgain(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) { f.Patterns = []string{"*"} })
	r.AwaitState(feed.Running)
	s.do("PUBLISH", "a", "1")
	bed.AwaitData("in", []string{"1"})
	s.restart()
	awaitStats(t, r, "the failure", func(s feed.Stats) bool { return s.Failures > 0 })
	r.AwaitState(feed.Running)
	s.do("PUBLISH", "a", "2")
	bed.AwaitData("in", []string{"1", "2"})
}

// TestChannelsWaitWhileTheLogRefuses publishes more than the feed holds.
func TestChannelsWaitWhileTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	r := s.feed(bed, func(f *feed.Spec) { f.Channels, f.Prefetch = []string{"a"}, 10 })
	r.AwaitState(feed.Running)
	for _, n := range feedtest.Numbers(0, 500) {
		s.do("PUBLISH", "a", n)
	}
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 500)) // the sockets have held the rest
}

// TestChannelsStopThoughTheLogRefuses has a full queue.
func TestChannelsStopThoughTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	r := s.feed(bed, func(f *feed.Spec) { f.Channels, f.Prefetch = []string{"a"}, 1 })
	r.AwaitState(feed.Running)
	for _, n := range feedtest.Numbers(0, 50) {
		s.do("PUBLISH", "a", n)
	}
	r.AwaitState(feed.Failing)
	r.Stop()
}

// TestChannelsStopPublishesWhatHasArrived stops while messages wait.
func TestChannelsStopPublishesWhatHasArrived(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Hold = make(chan struct{})
	r := s.feed(bed, func(f *feed.Spec) { f.Channels = []string{"a"} })
	r.AwaitState(feed.Running)
	s.do("PUBLISH", "a", "0")
	awaitStats(t, r, "the first message", func(s feed.Stats) bool { return s.Received == 1 })
	for _, n := range feedtest.Numbers(1, 10) {
		s.do("PUBLISH", "a", n)
	}
	time.Sleep(200 * time.Millisecond) // until they have arrived: nothing tells
	time.AfterFunc(100*time.Millisecond, func() { close(bed.Log.Hold) })
	r.Stop()
	bed.AwaitData("in", feedtest.Numbers(0, 10))
}

func TestTLSUnixAndPasswords(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	encrypted := func(f *feed.Spec) {
		aList(f)
		f.From, f.PasswordFile = fmt.Sprintf("rediss://127.0.0.1:%d", s.tls), file
	}
	r := s.feed(bed, encrypted)
	awaitStats(t, r, "the refusal of an unknown authority", func(s feed.Stats) bool { return strings.Contains(s.Error, "unknown authority") })
	r.Stop()
	r = s.feed(bed, func(f *feed.Spec) {
		encrypted(f)
		f.CAFile = filepath.Join(s.dir, "cert.pem")
	})
	s.push("jobs", 0, 10)
	bed.AwaitData("in", feedtest.Numbers(0, 10))
	r.Stop()
	r = s.feed(bed, func(f *feed.Spec) {
		aList(f)
		f.From, f.PasswordFile = "redis+unix://"+filepath.Join(s.dir, "socket"), file
	})
	s.push("jobs", 10, 20)
	bed.AwaitData("in", feedtest.Numbers(0, 20))
	r.Stop()
	r = s.feed(bed, func(f *feed.Spec) {
		aList(f)
		f.From = "redis://:wrong-one@" + s.Addr()
	})
	awaitStats(t, r, "the refusal of a wrong password", func(s feed.Stats) bool {
		return strings.Contains(s.Error, "WRONGPASS") && !strings.Contains(s.Error, "wrong-one")
	})
}
