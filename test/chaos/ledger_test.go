package chaos_test

import (
	"fmt"
	"sync"
	"testing"
)

// A ledger holds what publishers and readers were told, over all lives of a server.
// Nothing that is told later may contradict it. Data of messages is unique.
type ledger struct {
	mu       sync.Mutex
	life     int               // lives of the server so far
	floor    uint64            // no fresh message of this life may have a position up to here
	highest  uint64            // position that anybody was told
	message  map[string]string // by ID: the message that has it
	id       map[string]string // by message: its ID
	acked    []receipt         // in the order in which publishers were told
	faults   []string          // contradictions
	gone     int               // publishes whose fate is not known: no answer came
	replayed int               // publishes that were answered as known from before
}

// A receipt is what a publisher was told of one message.
type receipt struct {
	data string
	life int
}

func newLedger() *ledger {
	return &ledger{message: make(map[string]string), id: make(map[string]string)}
}

// nextLife is to be called when a process has ended, and before the next one starts.
func (l *ledger) nextLife() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life++
	l.floor = l.highest
}

func (l *ledger) now() (life int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.life
}

// saw notes that somebody was told that a message has an ID; data is "" if the ID was
// only a place.
func (l *ledger) saw(id, data string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(id, data)
}

func (l *ledger) note(id, data string) {
	l.highest = max(l.highest, place(id))
	if data == "" {
		return
	}
	if before, known := l.message[id]; known && before != data {
		l.fault("%s is the ID of %q and of %q", id, before, data)
	}
	if before, known := l.id[data]; known && before != id {
		l.fault("%q has the IDs %s and %s", data, before, id)
	}
	l.message[id], l.id[data] = data, id
}

// acknowledged notes that messages were acknowledged together; id is that of the last
// of them. life is the one in which they were sent, fresh whether they had not been
// published before.
func (l *ledger) acknowledged(data []string, id string, life int, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := data[len(data)-1]
	switch {
	case !fresh:
		l.replayed++
	case life == l.life && place(id) <= l.floor:
		l.fault("%q got %s, but somebody had seen position %d before the server was killed", last, id, l.floor)
	}
	l.note(id, last)
	for _, d := range data {
		l.acked = append(l.acked, receipt{d, life})
	}
}

func (l *ledger) unanswered() {
	l.mu.Lock()
	l.gone++
	l.mu.Unlock()
}

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// receipts returns those of messages that were acknowledged so far, from number on.
func (l *ledger) receipts(from int) []receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]receipt(nil), l.acked[from:]...)
}

// check fails the test if anybody was told a contradiction.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, fault := range l.faults {
		if i == 10 {
			t.Fatalf("and %d more", len(l.faults)-i)
		}
		t.Error(fault)
	}
	if len(l.faults) > 0 {
		t.FailNow()
	}
}
