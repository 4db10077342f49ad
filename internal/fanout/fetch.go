package fanout

import (
	"context"
	"sync"

	"github.com/weirstream/weir/eventlog"
)

// A log that can say at once what it has in memory. Loops read only that; the rest
// is fetched for them.
type nowReader interface {
	ReadNow(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (p eventlog.Page, ok bool, err error)
}

// fetchers is how many goroutines of one table wait for the log at a time.
const fetchers = 4

// A fetcher reads pages that are not in memory, for the readers of one table. Its
// goroutines end when nothing is left to do. A reader waits for one page at a time,
// so the queue is never longer than there are readers.
type fetcher struct {
	mu      sync.Mutex
	queue   []*fetch // guarded by mu
	running int      // guarded by mu
}

// A fetch is a page that a reader waits for.
type fetch struct {
	reader *reader
	query  query
	page   eventlog.Page
	err    error
}

// get reads the page of f, and hands f to its reader on the reader's loop.
func (x *fetcher) get(f *fetch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue = append(x.queue, f)
	if x.running < fetchers {
		x.running++
		go x.run()
	}
}

// run ends when the queue is empty.
func (x *fetcher) run() {
	for f := x.next(); f != nil; f = x.next() {
		f.page, _, f.err = f.query.run(f.reader.metered(f.read))
		f.reader.conn.Loop().Do(f.arrived)
	}
}

func (x *fetcher) next() *fetch {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		x.queue = nil
		x.running--
		return nil
	}
	f := x.queue[0]
	x.queue[0] = nil
	x.queue = x.queue[1:]
	return f
}

func (f *fetch) read(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, bool, error) {
	page, err := f.reader.group.table.log.Read(context.Background(), sel, after, upTo, lim)
	return page, true, err
}

// arrived wakes the reader. On the loop.
func (f *fetch) arrived() {
	f.reader.fetched = f
	f.reader.conn.Kick()
}

// A readFunc reads one page; ok is false if that would take a wait.
type readFunc func(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (page eventlog.Page, ok bool, err error)

// A query is what a reader that is behind wants next.
type query struct {
	selector    *eventlog.Selector
	after, upTo uint64
	newest      bool // only the newest message of each topic and key
}

// messageCost is what a message counts for besides its data, in bytes.
const messageCost = 64

// metered returns read with what it brings counted as replayed, page by page.
func (r *reader) metered(read readFunc) readFunc {
	if r.replayed == nil {
		return read
	}
	return func(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, bool, error) {
		page, ok, err := read(sel, after, upTo, lim)
		n := int64(messageCost * len(page.Entries))
		for _, e := range page.Entries {
			n += int64(len(e.Data))
		}
		if n > 0 {
			r.replayed(n)
		}
		return page, ok, err
	}
}

func (q query) run(read readFunc) (page eventlog.Page, ok bool, err error) {
	if q.newest {
		return q.skim(read)
	}
	return read(q.selector, q.after, q.upTo, pullLimit)
}

// latestPages bounds how much of the log one skim looks at.
const latestPages = 64

// skim returns only the newest message of each topic and key, in log order.
func (q query) skim(read readFunc) (all eventlog.Page, ok bool, err error) {
	newest := make(map[[2]string]int)
	all.Next = q.after
	for range latestPages {
		page, ok, err := read(q.selector, all.Next, q.upTo, eventlog.Limit{})
		if !ok || err != nil {
			return page, ok, err
		}
		all.Lost = max(all.Lost, page.Lost)
		for _, e := range page.Entries {
			key := [2]string{e.Topics[0], e.Key}
			if i, ok := newest[key]; ok {
				all.Entries[i] = nil
			}
			newest[key] = len(all.Entries)
			all.Entries = append(all.Entries, e)
		}
		if all.Next = page.Next; all.Next >= q.upTo {
			break
		}
	}
	all.Entries = compact(all.Entries)
	return all, true, nil
}

// compact takes the nils out.
func compact(es []*eventlog.Entry) []*eventlog.Entry {
	kept := es[:0]
	for _, e := range es {
		if e != nil {
			kept = append(kept, e)
		}
	}
	clear(es[len(kept):])
	return kept
}
