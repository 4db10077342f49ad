package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

// A forgetter publishes numbers to a topic and has them forgotten, again and again.
type forgetter struct {
	server    *server
	deletions int // valid when run has ended

	mu        sync.Mutex
	forgotten int // guarded by mu; numbers up to here must never be seen again
}

// forgetTopic is that of a forgetter. Other topics do not keep its messages.
const forgetTopic = "forgotten"

func (f *forgetter) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		var data []string
		for range 5 {
			n++
			data = append(data, fmt.Sprint(n))
		}
		_, _, _ = f.server.post(forgetTopic, data, "") // whether it is there or not, it is to go
		req, err := http.NewRequest(http.MethodDelete, f.server.url+"/v1/topics/"+forgetTopic, nil)
		if err != nil {
			panic(err)
		}
		resp, _, err := f.server.do(req, "")
		if err == nil && resp.StatusCode == http.StatusNoContent {
			f.deletions++
			f.mu.Lock()
			f.forgotten = n
			f.mu.Unlock()
		}
		wait(ctx, 3*time.Millisecond)
	}
}

// check fails the test if the server still has, or has again, what was forgotten.
func (f *forgetter) check(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	forgotten := f.forgotten
	f.mu.Unlock()
	oldest := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newFollower(f.server.url, "wait=1ms&topic="+forgetTopic, func(e sse.Event) {
		if e.Data != nil && e.Type != gapEvent && oldest == 0 {
			_, _ = fmt.Sscan(string(e.Data), &oldest)
		}
	})
	_ = r.visit(ctx, func() bool { return false }) // to the end of what is there
	if r.visits == 0 {
		t.Error("the server does not answer")
	}
	if oldest > 0 && oldest <= forgotten {
		t.Errorf("number %d is there, although all up to %d were forgotten", oldest, forgotten)
	}
}
