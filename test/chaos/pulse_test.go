package chaos_test

import (
	"sync/atomic"

	"github.com/weirstream/weir/sse"
)

// A pulse counts what a reader gets.
type pulse struct {
	*follower
	got   []string
	beats atomic.Int64 // heartbeats
	count atomic.Int64 // len(got)
}

func newPulse(s *server) *pulse {
	p := new(pulse)
	p.follower = newFollower(s.url, "topic=a", func(e sse.Event) {
		if e.Data != nil {
			p.got = append(p.got, string(e.Data))
			p.count.Add(1)
		}
	})
	p.comments = func(string) { p.beats.Add(1) }
	return p
}
