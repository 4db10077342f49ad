// Package nodetest is the suite that every engine of [sharedlog] passes with a real
// server: several nodes share one log, at the same time, while the server fails.
//
// Each exported function that takes a [Server] is one test. The test of an engine has its
// name or a similar one, and hands over a server that it has started; where that is killed
// it must be one that keeps what it has acknowledged:
//
//	func TestNodesHaveOneOrder(t *testing.T) {
//		nodetest.NodesHaveOneOrder(t, startServer(t))
//	}
//
// Package logtest is for what one node does alone.
package nodetest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A Server is one that a test has started, or a way to it.
type Server interface {
	// Connect connects a new node to the log with a name, or ends the test. The engine
	// waits for the server as long as wait; 0 is its default. The caller closes it.
	Connect(t testing.TB, name string, wait time.Duration) sharedlog.Engine
	Kill()    // ends the process without a warning
	Restart() // starts it again after Kill, and returns when it answers
	Pause()   // stops the process: its connections stay, and nothing is answered
	Resume()  // lets it go on after Pause
}

// Open opens a log as a new node, which writes warnings into the log of the test unless o
// says where to. It is closed with the test.
func Open(t testing.TB, s Server, name string, o sharedlog.Options) *sharedlog.Log {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	l, err := sharedlog.Open(t.Context(), s.Connect(t, name, o.Wait), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Pair opens a log as two new nodes.
func Pair(t testing.TB, s Server, name string, o sharedlog.Options) [2]*sharedlog.Log {
	t.Helper()
	return [2]*sharedlog.Log{Open(t, s, name, o), Open(t, s, name, o)}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// Within waits until something is ok, or ends the test after d, with what it is not.
func Within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not %s", d, what)
		}
	}
}

// Message is an entry with one topic, to be appended.
func Message(topic, data string) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: []string{topic}, Data: []byte(data)}}
}

// Add appends entries, or ends the test.
func Add(t testing.TB, l eventlog.Log, es ...*eventlog.Entry) {
	t.Helper()
	if err := l.Append(context.Background(), es...); err != nil {
		t.Fatal(err)
	}
}

// Select selects by patterns, or ends the test.
func Select(t testing.TB, patterns ...string) *eventlog.Selector {
	t.Helper()
	s, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Read returns all kept entries after a position, and the highest position lost.
func Read(t testing.TB, l eventlog.Log, after uint64, patterns ...string) (es []*eventlog.Entry, lost uint64) {
	t.Helper()
	for head := l.Head(); after < head; {
		p, err := l.Read(context.Background(), Select(t, patterns...), after, head, eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		es, lost, after = append(es, p.Entries...), max(lost, p.Lost), p.Next
	}
	return es, lost
}

// Data is the data of each entry.
func Data(es []*eventlog.Entry) (list []string) {
	for _, e := range es {
		list = append(list, string(e.Data))
	}
	return list
}

// syncNode waits until a node has all that was stored before, or ends the test.
func syncNode(t testing.TB, l *sharedlog.Log) {
	t.Helper()
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}
