package server

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/machine"
)

// A bounded listener accepts no more connections than there are descriptors for.
// Those beyond get an answer that says so: left to itself the system would let them
// wait, and accepting would fail over and over.
//
// What net/http writes has no time limit of its own, because a stream has none, so
// each connection gets one of the kernel.
type bounded struct {
	net.Listener
	s   *Server
	tls bool // a refusal in clear text would not be understood
}

// sockets counts connections.
type sockets struct {
	most    int          // 0: no limit
	http    atomic.Int64 // that net/http serves
	refused atomic.Int64 // since the start
	leaving atomic.Int64 // refused, and being told so
}

// spareFiles is how many descriptors are left for the log and for refusals.
const spareFiles = 48

// openFiles is how many files the process may have open; 0: not known. Tests put their
// own in its place.
var openFiles = machine.OpenFileLimit

func newSockets() *sockets {
	most := int(openFiles())
	if most > 0 {
		most = max(most-spareFiles, most/2)
	}
	return &sockets{most: most}
}

// track is the ConnState of an [http.Server].
func (k *sockets) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		k.http.Add(1)
	case http.StateHijacked, http.StateClosed:
		k.http.Add(-1)
	}
}

// socketsOpen returns how many connections clients have.
func (s *Server) socketsOpen() int {
	return int(s.sockets.http.Load()) + s.engine.Sockets() + s.native.Adopted()
}

// Accept implements [net.Listener].
func (l *bounded) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.s.sockets.most == 0 || l.s.socketsOpen() < l.s.sockets.most {
			giveUpAfter(nc, l.s.settings.Stream.UserTimeout)
			return nc, nil
		}
		l.s.sockets.refuse(nc, l.tls)
	}
}

// mostLeaving bounds the refusals that are under way. Others are just closed.
const mostLeaving = 16

var noRoomAnswer = func() []byte {
	const body = `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"overloaded","detail":"the server has no room for another connection"}` + "\n"
	return []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nCache-Control: no-store\r\n" +
		"Content-Type: application/problem+json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}()

// refuse tells a client that there is no room. It does not block.
func (k *sockets) refuse(nc net.Conn, encrypted bool) {
	k.refused.Add(1)
	if encrypted || k.leaving.Add(1) > mostLeaving {
		if !encrypted {
			k.leaving.Add(-1)
		}
		nc.Close()
		return
	}
	go func() { // ends by the deadline
		defer k.leaving.Add(-1)
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(time.Second))
		if _, err := nc.Write(noRoomAnswer); err != nil {
			return
		}
		if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, nc) // closing with unread bytes would reset the answer away
		}
	}()
}
