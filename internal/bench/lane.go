package bench

import (
	"fmt"
	"io"
	"slices"
)

// A lane is one connection, on which one publish is under way at a time.
type lane struct {
	conn    conn
	streams []int
	turn    int   // index of the next stream
	busy    bool  // a publish is under way
	due     int64 // when it was
	count   int   // its messages
	topics  []int // of its messages
	buf     []byte
	answer  []byte // the begin of the answer's content, if it is a refusal
}

// publish sends the next message of l, or its next batch.
func (p *publisher) publish(l *lane, due int64) {
	if p.r.o.Batch > 1 {
		p.postBatch(l, due)
		return
	}
	stream := l.next()
	m := message{stream: stream, seq: p.seqs[stream], due: due, size: p.r.o.Size}
	p.seqs[stream]++
	p.begun++
	p.post(l, p.topicOf(stream), m)
}

func (l *lane) next() int {
	s := l.streams[l.turn]
	if l.turn++; l.turn == len(l.streams) {
		l.turn = 0
	}
	return s
}

// post sends one message to a topic.
func (p *publisher) post(l *lane, topic int, m message) {
	f := &p.forms[topic]
	l.topics = append(l.topics[:0], topic)
	l.buf = append(append(l.buf[:0], f.head...), f.body.before...)
	l.buf = append(appendPayload(l.buf, p.r.tag, m), f.body.after...)
	l.count = 1
	if m.stream == probeStream {
		l.count = 0
	}
	p.send(l, m.due)
}

func (p *publisher) postBatch(l *lane, due int64) {
	o := &p.r.o
	n := o.Batch
	if p.plan.messages > 0 {
		n = int(min(int64(n), p.plan.messages-p.begun))
	}
	l.topics = l.topics[:0]
	length := 0
	for i := range n {
		topic := p.topicOf(l.streams[(l.turn+i)%len(l.streams)])
		l.topics = append(l.topics, topic)
		length += p.forms[topic].line.len() + o.Size + 1
	}
	l.buf = appendLength(append(l.buf[:0], p.batch...), length)
	for _, topic := range l.topics {
		stream, f := l.next(), &p.forms[topic]
		l.buf = append(l.buf, f.line.before...)
		l.buf = appendPayload(l.buf, p.r.tag, message{stream: stream, seq: p.seqs[stream], due: due, size: o.Size})
		l.buf = append(append(l.buf, f.line.after...), '\n')
		p.seqs[stream]++
	}
	p.begun += int64(n)
	l.count = n
	p.send(l, due)
}

func (p *publisher) send(l *lane, due int64) {
	l.busy, l.due = true, due
	l.conn.response = response{}
	l.answer = l.answer[:0]
	p.r.wire.send(&l.conn, l.buf)
}

// received reads the answer to the publish of l.
func (p *publisher) received(l *lane, b []byte, now int64) {
	for len(b) > 0 && l.busy {
		body, rest, err := l.conn.response.next(b)
		if err != nil {
			p.cut(l, err)
			return
		}
		if l.conn.response.status >= 300 && len(l.answer) < 300 {
			l.answer = append(l.answer, body...)
		}
		b = rest
		if l.conn.response.part == partDone {
			p.answered(l, now)
			return
		}
		if len(b) == 0 {
			return
		}
	}
	if len(b) > 0 {
		p.cut(l, fmt.Errorf("%w: bytes after the answer", errMalformed))
	}
}

// answered ends the publish of l, which has its whole answer.
func (p *publisher) answered(l *lane, now int64) {
	status := l.conn.response.status
	if status/100 == 2 {
		p.acknowledged(l, now)
	} else {
		p.troubled(l, fmt.Errorf("%w: the server answers a publish with status %d %.200q", ErrRefused, status, l.answer))
	}
	l.busy, l.count = false, 0
	if l.conn.response.ends {
		p.r.wire.drop(&l.conn)
		p.dial(l)
		return
	}
	p.idle = append(p.idle, l)
	p.fill(now)
}

func (p *publisher) acknowledged(l *lane, now int64) {
	p.trouble = 0
	if l.count == 0 { // a probe
		return
	}
	p.last = now
	p.acked += int64(l.count)
	p.acks.add(timeSpan(l.due, now))
	for _, g := range p.r.audiences {
		for _, topic := range l.topics {
			if topic < len(g.byTopic) {
				g.expected += int64(g.byTopic[topic])
			}
		}
	}
}

// troubled counts the publish of l as refused, and ends the run if that happens
// all the time.
func (p *publisher) troubled(l *lane, err error) {
	p.refused += int64(l.count)
	p.trouble++
	if p.trouble >= maxTrouble || p.acked == 0 && p.trouble > len(p.lanes) {
		p.r.fatal = err
	}
}

// lost is told that the connection of l is gone: it is opened again.
func (p *publisher) lost(l *lane, err error) {
	if l.busy && err == io.EOF && l.conn.response.part == partRest {
		p.answered(l, p.r.clock.now())
		return
	}
	l.conn.stage = closed
	p.idle = slices.DeleteFunc(p.idle, func(other *lane) bool { return other == l })
	if l.busy || p.opened() == 0 {
		p.troubled(l, fmt.Errorf("%w to a publish: connection to %s: %w", ErrUnreachable, p.to.host, bare(err)))
	}
	l.busy, l.count = false, 0
	if p.r.fatal == nil {
		p.dial(l)
	}
}

func (p *publisher) cut(l *lane, err error) {
	p.r.wire.drop(&l.conn)
	p.lost(l, err)
}
