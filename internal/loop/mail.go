package loop

// The mailbox is how other goroutines reach a loop. It grows with what is posted
// and is bounded by its senders: at most Config.Limit bytes of frames for each
// connection, one closing, and one closure for each request being served.

type letterKind uint8

const (
	letterDo      letterKind = iota // run do
	letterAdd                       // nothing but what comes with any letter: conn joins the loop
	letterFrame                     // send frame on conn
	letterRoom                      // conn's pipe has room again
	letterDrained                   // there may be room for posted frames
	letterEnd                       // end conn after what is queued, with reason
	letterClose                     // close conn now, with reason
	letterSocket                    // epoll saw events on the descriptor in slot
)

// A letter is one piece of mail.
type letter struct {
	kind   letterKind
	reason Reason
	slot   int32  // letterSocket
	gen    int32  // letterSocket: the slot's generation when epoll was armed
	events uint32 // letterSocket
	conn   *Conn
	frame  []byte
	do     func()
}

// post puts a letter into the mailbox and starts the loop if it is not running.
func (l *Loop) post(ls ...letter) {
	l.mu.Lock()
	l.mail = append(l.mail, ls...)
	if !l.running {
		l.running = true
		go l.run()
	}
	l.mu.Unlock()
	l.Wake()
}

// readMail takes all mail and handles it in order.
func (l *Loop) readMail() {
	l.mu.Lock()
	l.mail, l.reading = l.reading[:0], l.mail
	l.mu.Unlock()
	for i := range l.reading {
		l.handle(&l.reading[i])
		l.reading[i] = letter{}
	}
	if cap(l.reading) > 4096 { // do not keep what a storm needed
		l.reading = nil
	}
}

func (l *Loop) handle(m *letter) {
	if m.conn != nil && !m.conn.added { // also if somebody wrote to it before its Add
		l.add(m.conn)
	}
	switch m.kind {
	case letterDo:
		m.do()
	case letterFrame:
		l.send(m.conn, m.frame)
	case letterRoom:
		l.resume(m.conn)
	case letterDrained:
		m.conn.tellRoom()
	case letterEnd:
		l.end(m.conn, m.reason)
	case letterClose:
		l.close(m.conn, m.reason)
	case letterSocket:
		if c := l.conns[m.slot]; c != nil && c.gen == m.gen {
			l.socketEvent(c, m.events)
		}
	}
}
