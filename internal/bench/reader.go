package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
)

// maxAttempts is how often a connection is tried before it counts as failed.
const maxAttempts = 3

// Dialling is the state of opening many connections, a few at once.
type dialling struct {
	waiting  []*conn // not yet begun
	under    int     // begun, and not yet open or failed
	opened   int64   // ever
	now      int     // open
	most     int     // that were open at once
	failed   int64   // given up
	retried  int64
	lost     int64 // were open, and the server ended them
	firstErr error // why the first one failed
}

// makeReaders makes the connections of the readers, without opening them: those
// that count, then those that get nothing.
func (r *run) makeReaders(to *target) {
	o := &r.o
	main := &group{byTopic: make([]int, o.Topics)}
	r.audiences = []*group{main}
	perTopic := r.publisher.streamsPerTopic()
	for i := range o.Connections {
		c := &conn{to: to, group: main, topic: i * o.TopicsPerConn % o.Topics, slot: i * perTopic, streams: perTopic}
		if o.Topics > 1 {
			c.firstStream = c.topic
		}
		for k := range o.TopicsPerConn {
			c.topics = append(c.topics, r.topicName((c.topic+k)%o.Topics))
		}
		r.readers = append(r.readers, c)
	}
	r.book = newBook(o.Connections * perTopic)
	rest := &group{}
	r.audiences = append(r.audiences, rest)
	for i := range o.Others {
		r.readers = append(r.readers, &conn{to: to, group: rest, topic: -1, topics: []string{fmt.Sprintf("%s-other/%d", o.Topic, i)}})
	}
	for i := range o.Patterns {
		r.readers = append(r.readers, &conn{to: to, group: rest, topic: -1, topics: []string{fmt.Sprintf("%s-pattern%d/*", o.Topic, i)}})
	}
}

// counted returns the readers that are to get messages.
func (r *run) counted() []*conn { return r.readers[:r.o.Connections] }

// join moves c, which counts, to group g.
func (r *run) join(c *conn, g *group) {
	c.group.leave(c)
	c.group = g
	g.enter(c)
}

// enter counts c among those that are to get the messages of its topic. A reader
// that the server disconnects stays: it is to get them all the same.
func (g *group) enter(c *conn) { g.count(c, true) }

func (g *group) leave(c *conn) { g.count(c, false) }

func (g *group) count(c *conn, member bool) {
	if c.topic < 0 || c.member == member {
		return
	}
	c.member = member
	step := -1
	if member {
		step = 1
	}
	g.readers += step
	g.byTopic[c.topic] += step
}

// open opens connections, and returns when each is open or has failed.
func (r *run) open(list []*conn, step string) error {
	d := &r.dial
	d.waiting = slices.Clone(list)
	before := d.opened
	opened := func() int64 { return d.opened - before }
	r.step(step, opened, func() int64 { return int64(len(list)) })
	r.openMore()
	done := func() bool { return d.under == 0 && len(d.waiting) == 0 }
	ok, err := r.await(done, func() int64 { return d.opened + d.failed + d.retried })
	if err == nil && !ok {
		r.giveUp(list)
	}
	if err == nil && opened() == 0 && len(list) > 0 {
		err = fmt.Errorf("%w: %w", ErrUnreachable, d.firstErr)
	}
	return err
}

// giveUp counts those as failed that are still under way.
func (r *run) giveUp(list []*conn) {
	d := &r.dial
	for _, c := range list {
		if c.stage == opening {
			r.wire.drop(c)
			c.stage = closed
			d.under--
			r.failed(c, errors.New("no answer in time"))
		}
	}
	d.failed += int64(len(d.waiting))
	d.waiting = nil
}

func (r *run) openMore() {
	d := &r.dial
	for len(d.waiting) > 0 && d.under < r.o.Connecting {
		c := d.waiting[0]
		d.waiting = d.waiting[1:]
		d.under++
		r.begin(c)
	}
}

// begin dials a reader.
func (r *run) begin(c *conn) {
	c.stage = opening
	c.probed = false
	c.response = response{}
	c.scanner = scanner{tag: r.tag, wantID: r.o.Scenario == Storm, id: c.scanner.id, cut: c.scanner.cut[:0], gaps: c.scanner.gaps}
	r.wire.dial(c)
}

// connected implements handler: the request follows.
func (r *run) connected(c *conn) {
	if c.lane != nil {
		r.publisher.connected(c.lane)
		return
	}
	r.wire.send(c, r.subscribeRequest(c))
}

func (r *run) subscribeRequest(c *conn) []byte {
	headers := []string{"Accept: text/event-stream", "User-Agent: weir-bench"}
	headers = override(headers, r.o.Headers, r.o.SubscribeHeaders)
	if r.resume && len(c.scanner.id) > 0 {
		headers = append(headers, "Last-Event-ID: "+string(c.scanner.id))
	}
	return requestHead("GET", path(expandURL(r.o.SubscribeURL, c.topics)), c.to.host, headers, false)
}

// override returns headers with those of the lists in place of the ones of the
// same name, or added.
func override(headers []string, lists ...[]string) []string {
	for _, list := range lists {
		for _, h := range list {
			name, _, _ := strings.Cut(h, ":")
			kept := headers[:0]
			for _, old := range headers {
				if len(old) <= len(name) || !strings.EqualFold(old[:len(name)+1], name+":") {
					kept = append(kept, old)
				}
			}
			headers = append(kept, h)
		}
	}
	return headers
}

// lost implements handler.
func (r *run) lost(c *conn, err error) {
	if c.lane != nil {
		r.publisher.lost(c.lane, err)
		return
	}
	before := c.stage
	c.stage = closed
	switch before {
	case open:
		r.dial.lost++
		r.dial.now--
	case opening:
		r.dial.under--
		if c.attempts++; c.attempts < maxAttempts && r.fatal == nil {
			r.dial.retried++
			r.dial.waiting = append(r.dial.waiting, c)
		} else {
			r.failed(c, err)
		}
		r.openMore()
	}
}

func (r *run) failed(c *conn, err error) {
	c.attempts = 0
	r.dial.failed++
	if r.dial.firstErr == nil {
		r.dial.firstErr = fmt.Errorf("connect to %s: %w", c.to.host, bare(err))
	}
}

// bare strips what net says about the connection, which the caller says.
func bare(err error) error {
	if err == io.EOF {
		return errors.New("the server closed the connection")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// drop resets the readers of list.
func (r *run) drop(list []*conn) {
	for _, c := range list {
		if c.stage == open {
			r.dial.now--
		}
		if c.stage != closed {
			r.wire.drop(c)
			c.stage = closed
		}
		c.group.leave(c)
	}
}
