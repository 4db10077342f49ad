package hub

import (
	"fmt"
	"strconv"
	"time"
)

// A Start says where a reader starts to read. The zero value is FromNow.
type Start struct {
	kind startKind
	id   string
	time time.Time
	age  time.Duration
	n    int
}

type startKind uint8

const (
	startNow startKind = iota
	startOldest
	startID
	startTime
	startAge
	startLast
)

// FromNow starts with the next message.
func FromNow() Start { return Start{} }

// FromOldest starts with the oldest message kept.
func FromOldest() Start { return Start{kind: startOldest} }

// FromID starts after the message with the given event ID.
func FromID(id string) Start { return Start{kind: startID, id: id} }

// FromTime starts with the first message kept that is not older than t.
func FromTime(t time.Time) Start { return Start{kind: startTime, time: t} }

// FromLast starts with the newest n messages kept.
func FromLast(n int) Start { return Start{kind: startLast, n: n} }

// ParseSince reads a start as the query parameter since gives it: "start", "now",
// an age like "10m", or a time in RFC 3339.
func ParseSince(s string) (Start, error) {
	switch s {
	case "start":
		return FromOldest(), nil
	case "now":
		return FromNow(), nil
	}
	if age, err := time.ParseDuration(s); err == nil && age >= 0 {
		return Start{kind: startAge, age: age}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return FromTime(t), nil
	}
	return Start{}, fmt.Errorf(`since is %.80q: want "start", "now", an age like "10m", or an RFC 3339 time`, s)
}

// maxLast bounds the query parameter last.
const maxLast = 1_000_000

// ParseLast reads a start as the query parameter last gives it.
func ParseLast(s string) (Start, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxLast {
		return Start{}, fmt.Errorf("last is %.80q: want a number from 0 to %d", s, maxLast)
	}
	return FromLast(n), nil
}
