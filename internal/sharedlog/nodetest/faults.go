package nodetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// statuses are what a node has said of its server.
type statuses struct {
	mu   sync.Mutex
	list []bool // guarded by mu
}

func (s *statuses) add(up bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, up)
}

func (s *statuses) all() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// NothingAcknowledgedIsLostWhenKilled kills the server under load, several times.
func NothingAcknowledgedIsLostWhenKilled(t *testing.T, s Server) {
	var status statuses
	told := Open(t, s, "killed", sharedlog.Options{Wait: time.Second, Status: status.add})
	ld := StartLoad(t, [2]*sharedlog.Log{told, Open(t, s, "killed", sharedlog.Options{Wait: time.Second})})
	for range 3 {
		ld.More(200)
		n := len(status.all())
		s.Kill()
		Within(t, 5*time.Second, "the node says that the server is down", func() bool { return len(status.all()) > n })
		s.Restart()
	}
	ld.More(200)
	ld.End()
	if got, want := status.all(), []bool{false, true, false, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("status %v, want %v", got, want)
	}
}

// PausedServerIsWaitedForAndReadersGoOn stops the process for a while.
func PausedServerIsWaitedForAndReadersGoOn(t *testing.T, s Server) {
	o := sharedlog.Options{Wait: 500 * time.Millisecond}
	ld := StartLoad(t, Pair(t, s, "paused", o))
	ld.More(100)
	s.Pause()
	pause := time.After(3 * time.Second)
	time.Sleep(100 * time.Millisecond) // what was on its way is answered
	before := ld.Acknowledged()
	start := time.Now()
	err := ld.Publish(0, "node9/9/9")
	if took := time.Since(start); !errors.Is(err, eventlog.ErrUnavailable) || took > 2*time.Second {
		t.Errorf("Append = %v after %v, want ErrUnavailable after about %v", err, took, o.Wait)
	}
	if es, _ := Read(t, ld.nodes[1], 0, "**"); len(es) < 100 {
		t.Errorf("%d messages can be read, want at least 100", len(es))
	}
	<-pause
	if after := ld.Acknowledged(); after != before {
		t.Errorf("%d messages were acknowledged while the server was stopped", after-before)
	}
	s.Resume()
	ld.More(100)
	ld.End()
}

// ReaderOfOldDataWaits reads what is only on the server while that is killed.
func ReaderOfOldDataWaits(t *testing.T, s Server) {
	l := Open(t, s, "old", sharedlog.Options{HotBytes: 1, Wait: 200 * time.Millisecond})
	for i := range 10 {
		Add(t, l, Message("a", fmt.Sprint(i)))
	}
	s.Kill()
	done := make(chan []string)
	go func() {
		es, _ := Read(t, l, 0, "a")
		done <- Data(es)
	}()
	select {
	case got := <-done:
		t.Errorf("%q was read while the server was away", got)
	case <-time.After(time.Second):
	}
	s.Restart()
	if got := <-done; len(got) != 10 {
		t.Errorf("%d messages, want 10", len(got))
	}
}

// Fill publishes large messages with topic a until the server is full, and returns how
// many were acknowledged. All of them can be read.
func Fill(t *testing.T, l *sharedlog.Log) (acknowledged int) {
	t.Helper()
	big := strings.Repeat("x", 100_000)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = l.Append(t.Context(), Message("a", big))
	}
	if !errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("Append number %d = %v, want ErrFull", n, err)
	}
	if es, lost := Read(t, l, 0, "a"); len(es) != n-1 || lost != 0 {
		t.Errorf("%d messages are there, %d were acknowledged", len(es), n-1)
	}
	return n - 1
}

// FullServerRefusesAndReadersGoOn fills the log named full, of which l is a node and for
// which the server has a limit of some megabytes. Then widen takes the limit away.
func FullServerRefusesAndReadersGoOn(t *testing.T, s Server, l *sharedlog.Log, widen func()) {
	n := Fill(t, l)
	widen()
	Add(t, l, Message("a", "y"))
	if es, _ := Read(t, Open(t, s, "full", sharedlog.Options{}), 0, "a"); len(es) != n+1 {
		t.Errorf("a new node has %d messages, want %d", len(es), n+1)
	}
}
