package hub_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/sse"
)

// A modelReader is a client that behaves at random.
type modelReader struct {
	world    *world
	n        int
	sub      hub.Subscription
	selector *eventlog.Selector
	kind     int    // index in kinds
	start    string // query of the first connection
	rnd      *rand.Rand

	due     int  // guarded by world.mu: position of the newest message for it
	seen    int  // guarded by world.mu: position of the newest message that it got
	reading bool // guarded by world.mu

	lastID string
	fresh  bool   // it came without an ID
	got    []item // everything that happened, in order
}

func (r *modelReader) String() string {
	return fmt.Sprintf("reader %d (%s, form %d) of %q, policy %v, slow %v, start %q", r.n, kinds[r.kind], r.sub.Form, r.sub.Topics, r.sub.Policy, r.sub.Slow, r.start)
}

// An item is one thing that happened to a reader.
type item struct {
	what itemKind
	id   string   // of a message, of where the stream stands, of a notice; what the reader came with
	data string   // of a message
	gap  *hub.Gap // of a notice
	head int      // how much was published when it happened, or a little more
	err  error    // what the stream broke with
}

type itemKind uint8

const (
	opened    itemKind = iota // connected, with the last ID
	stands                    // the stream says where it stands
	noticed                   // a gap notice came
	received                  // a message came
	endOfBody                 // the server ended the stream
	dropped                   // the reader went away
	broke                     // something went wrong
)

var itemNames = [...]string{"opened", "stands", "noticed", "received", "end of body", "dropped", "broke"}

// tail shows the last items.
func (r *modelReader) tail() string {
	var b strings.Builder
	for _, it := range r.got[max(0, len(r.got)-30):] {
		fmt.Fprintf(&b, "\t%s %q %.10q", itemNames[it.what], it.id, it.data)
		if it.gap != nil {
			fmt.Fprintf(&b, " %+v", *it.gap)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// run reads until the last message has come.
func (r *modelReader) run() {
	for done := false; !done && r.world.ctx.Err() == nil; {
		r.setReading(true)
		done = r.connection()
		r.setReading(false)
		if !done && r.rnd.IntN(2) == 0 {
			r.world.awaitHead(r.rnd.IntN(60)) // stay away
		}
	}
}

func (r *modelReader) setReading(on bool) {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	r.reading = on
	r.world.changed.Broadcast()
}

// note records an item, and the ID that comes with it.
func (r *modelReader) note(it item) {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	it.head = len(r.world.all)
	r.got = append(r.got, it)
	if it.id != "" {
		r.lastID = it.id
	}
}

// connection opens one stream, and reads until the reader drops or the stream
// ends. It reports whether the last message has come.
func (r *modelReader) connection() (done bool) {
	ctx, cancel := context.WithCancel(r.world.ctx)
	defer cancel()
	resp, err := r.world.clients[r.kind].Do(r.request(ctx))
	if err != nil || resp.StatusCode != 200 {
		r.note(item{what: broke, err: fmt.Errorf("open: %v, %v", resp, err)})
		return true
	}
	defer resp.Body.Close()
	next := decodeEvents(resp.Body)
	if r.sub.Form == hub.Lines {
		next = decodeLines(resp.Body)
	}
	for left := r.rnd.IntN(150); left > 0; left-- {
		it, err := next()
		if err == io.EOF {
			r.note(item{what: endOfBody})
			return false
		}
		if err != nil {
			r.note(item{what: broke, err: err})
			return true
		}
		r.note(it)
		if r.progress(it) {
			return true
		}
		r.pause()
	}
	r.note(item{what: dropped})
	return false
}

// request asks for the stream, with the last ID in the header or as a parameter.
func (r *modelReader) request(ctx context.Context) *http.Request {
	r.note(item{what: opened, id: r.lastID})
	r.fresh = r.lastID == ""
	query := r.start
	if r.lastID != "" && r.rnd.IntN(2) == 0 {
		query = "last_event_id=" + url.QueryEscape(r.lastID)
	}
	req, _ := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/%d?%s", r.world.urls[r.kind], r.n, query), nil)
	if r.lastID != "" && query == r.start {
		req.Header.Set("Last-Event-ID", r.lastID)
	}
	return req
}

// progress tells the world how far the reader is, and reports whether nothing more
// will come.
func (r *modelReader) progress(it item) (done bool) {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	defer r.world.changed.Broadcast()
	if it.what == received {
		r.seen = max(r.seen, numberOf(it.data)+1)
	}
	if _, seq, ok := eventlog.ParseID(it.id); ok && (it.what == stands || it.what == noticed) {
		r.seen = max(r.seen, int(seq))
	}
	if it.what == noticed && it.id == "" && it.gap.Policy == "reset" {
		_, seq, _ := eventlog.ParseID(it.gap.Newest)
		r.seen = max(r.seen, int(seq))
	}
	return r.mayBeLast(it) && r.world.end > 0 && r.seen >= r.world.end
}

// mayBeLast reports whether it is possible that nothing follows the newest item.
// A stream without a notice says where it stands, one that begins with a notice
// without ID does so after it.
func (r *modelReader) mayBeLast(it item) bool {
	switch before := r.got[len(r.got)-2].what; it.what {
	case stands:
		return r.fresh || before == noticed
	case noticed:
		return it.id != "" || before != opened
	}
	return true
}

// pause stops reading, sometimes for long.
func (r *modelReader) pause() {
	if r.rnd.IntN(40) > 0 {
		return
	}
	r.setReading(false)
	r.world.awaitHead(r.rnd.IntN(150))
	r.setReading(true)
}

// numberOf returns the number that a message's data begins with. It is the
// position less one. The last message has the highest of all.
func numberOf(data string) int {
	var n int
	if _, err := fmt.Sscan(data, &n); err != nil {
		return modelMessages + 1000
	}
	return n
}

func decodeEvents(body io.Reader) func() (item, error) {
	events := sse.NewReader(body)
	return func() (item, error) {
		e, err := events.Next()
		switch {
		case err != nil:
			return item{}, err
		case e.Type == hub.GapEvent:
			var g hub.Gap
			err := json.Unmarshal(e.Data, &g)
			return item{what: noticed, id: e.ID, gap: &g}, err
		case e.Type != "" || e.ID == "":
			return item{}, fmt.Errorf("unexpected event %+v", e)
		case e.Data == nil:
			return item{what: stands, id: e.ID}, nil
		}
		return item{what: received, id: e.ID, data: string(e.Data)}, nil
	}
}

func decodeLines(body io.Reader) func() (item, error) {
	lines := bufio.NewReader(body)
	return func() (item, error) {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return item{}, err
		}
		var line struct {
			ID, Data string
			Ready    *struct{ ID string }
			Gap      *hub.Gap
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return item{}, fmt.Errorf("line %.100q: %v", text, err)
		}
		switch {
		case line.Ready != nil:
			return item{what: stands, id: line.Ready.ID}, nil
		case line.Gap != nil:
			return item{what: noticed, gap: line.Gap}, nil
		case line.ID == "":
			return item{}, fmt.Errorf("line without ID: %.100q", text)
		}
		return item{what: received, id: line.ID, data: line.Data}, nil
	}
}
