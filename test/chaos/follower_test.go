package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/sse"
)

// gapEvent is the type of an event that says that messages are missing.
const gapEvent = "weir.gap"

// A follower is a reader that comes back with the last ID it saw, as a browser does.
type follower struct {
	url      string // with a query that says where to start without an ID
	client   *http.Client
	last     string          // the last ID it saw
	heard    func(sse.Event) // called for each event; its data belongs to the function
	comments func(string)    // called for each comment, if not nil
	visits   int             // connections that were answered
}

// errEnough ends a follower.
var errEnough = errors.New("enough")

// newFollower returns a follower from the oldest message kept. query names topics, as
// in "topic=a&topic=b/*".
func newFollower(url, query string, heard func(sse.Event)) *follower {
	return &follower{url: url + "/v1/events?since=start&" + query, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, heard: heard}
}

// run follows until ctx ends, over any number of connections.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = f.visit(ctx, func() bool { return false })
		wait(ctx, 3*time.Millisecond)
	}
}

// visit follows on one connection, until it breaks or enough says so.
func (f *follower) visit(ctx context.Context, enough func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return err
	}
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	f.visits++
	r := sse.NewReader(resp.Body)
	r.Decoder.OnComment = f.comments
	for !enough() {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e.ID != "" {
			f.last = e.ID
		}
		f.heard(e)
	}
	return errEnough
}

// catchUp follows, over as many connections as it takes, until enough says so.
func (f *follower) catchUp(t *testing.T, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for {
		err := f.visit(ctx, enough)
		if err == errEnough {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("a reader that stands at %q has not got what it wants within %v: %v", f.last, 2*patience, err)
		}
		wait(ctx, 3*time.Millisecond)
	}
}

// place is the position that an ID of the server stands for; 0 for others.
func place(id string) uint64 {
	_, seq, _ := eventlog.ParseID(id)
	return seq
}
