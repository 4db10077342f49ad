package loop_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/internal/loop"
)

// A socket is a connection of a loop over a TCP connection on loopback.
type socket struct {
	conn   loop.Conn
	owner  owner
	fd     int
	client *net.TCPConn
}

// dial returns both ends of a new TCP connection whose buffers are small.
func dial(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, server = c.(*net.TCPConn), s.(*net.TCPConn)
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	_ = client.SetReadBuffer(64 << 10)
	_ = server.SetWriteBuffer(64 << 10)
	return client, server
}

// take detaches a TCP connection and puts it on l.
func take(t *testing.T, l *loop.Loop, cfg *loop.Config, userTimeout time.Duration, keep bool) *socket {
	t.Helper()
	client, server := dial(t)
	fd, err := loop.Detach(server, time.Minute, userTimeout)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{fd: fd, client: client, owner: owner{reuse: make(chan int, 1)}}
	s.conn.Init(l, cfg, &s.owner, fd, nil, 0, keep)
	s.conn.Add()
	return s
}

// wantClosed waits until s is closed, and checks the reason.
func wantClosed(t *testing.T, s *socket, want loop.Reason) {
	t.Helper()
	eventually(t, "the connection is closed", func() bool { return len(s.owner.reasons()) > 0 })
	if got := s.owner.reasons(); !slices.Equal(got, []loop.Reason{want}) {
		t.Errorf("closed %v, want %v", got, want)
	}
}

var roomyTail = &loop.Config{Limit: 64 << 20, Tail: []byte("tail")}

// TestFullSocketGoesOnWhenThereIsRoom sends far more than the kernel buffers.
func TestFullSocketGoesOnWhenThereIsRoom(t *testing.T) {
	s := take(t, loop.New(1).Pick(), roomyTail, 0, false)
	var want []byte
	for i := range 2000 {
		frame := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i%1500)
		want = append(want, frame...)
		s.conn.Post(frame)
	}
	s.conn.End(loop.Ended)
	got, err := io.ReadAll(s.client)
	if want = append(want, "tail"...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want the %d that were sent", len(got), err, len(want))
	}
	wantClosed(t, s, loop.Ended)
}

func TestEndOfClientIsNoticedWithoutTraffic(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"close":       (*net.TCPConn).Close,
		"half-closed": (*net.TCPConn).CloseWrite,
		"reset": func(c *net.TCPConn) error {
			_ = c.SetLinger(0)
			return c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := take(t, loop.New(1).Pick(), roomyTail, 0, false)
			if err := leave(s.client); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, s, loop.ClientGone)
		})
	}
}

// TestEndOfGuardedClientIsNoticed is for sockets that the loop does not write to.
func TestEndOfGuardedClientIsNoticed(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"close": func(c *net.TCPConn) { c.Close() },
		"reset": func(c *net.TCPConn) {
			_ = c.SetLinger(0)
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := dial(t)
			defer server.Close()
			raw, err := server.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			m := &memory{sink: sink{room: -1}}
			m.conn.Init(loop.New(1).Pick(), roomy, &m.owner, -1, &m.sink, 0, false)
			_ = raw.Control(func(fd uintptr) { m.conn.Guard(int(fd)) })
			m.conn.Add()
			m.conn.Post([]byte("x"))
			if _, err := client.Write([]byte("what the client says does not matter")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the frame is written", func() bool { return string(m.sink.bytes()) == "x" })
			if got := m.owner.reasons(); len(got) != 0 {
				t.Errorf("closed %v before the client has gone", got)
			}
			leave(client)
			eventually(t, "the connection is closed", func() bool { return len(m.owner.reasons()) > 0 })
			if got := m.owner.reasons(); !slices.Equal(got, []loop.Reason{loop.ClientGone}) {
				t.Errorf("closed %v, want client gone", got)
			}
		})
	}
}

// TestResetOfStalledClientIsNoticed is for a loop that waits for room.
func TestResetOfStalledClientIsNoticed(t *testing.T) {
	s := take(t, loop.New(1).Pick(), roomyTail, 0, false)
	s.conn.Post(make([]byte, 32<<20))
	eventually(t, "the socket is full", func() bool { return stalled(&s.conn) })
	_ = s.client.SetLinger(0)
	s.client.Close()
	wantClosed(t, s, loop.ClientGone)
}

func stalled(c *loop.Conn) (full bool) {
	on(c.Loop(), func() { full = c.Stalled() })
	return full
}

// TestClientThatNeverReadsIsGivenUp has the kernel watch: see Detach.
func TestClientThatNeverReadsIsGivenUp(t *testing.T) {
	s := take(t, loop.New(1).Pick(), roomyTail, 300*time.Millisecond, false)
	s.conn.Post(make([]byte, 32<<20))
	wantClosed(t, s, loop.TooSlow)
}

// TestFullSocketThatTakesNothingIsGivenUp is for sockets that the kernel does not watch.
func TestFullSocketThatTakesNothingIsGivenUp(t *testing.T) {
	patient := *roomyTail
	patient.Patience = 300 * time.Millisecond
	s := take(t, loop.New(1).Pick(), &patient, 0, false)
	s.conn.Post(make([]byte, 32<<20))
	wantClosed(t, s, loop.TooSlow)
}

// TestSlowSocketIsNotGivenUp reads a little now and then.
func TestSlowSocketIsNotGivenUp(t *testing.T) {
	patient := *roomyTail
	patient.Patience = 500 * time.Millisecond
	s := take(t, loop.New(1).Pick(), &patient, 0, false)
	s.conn.Post(make([]byte, 32<<20))
	buf := make([]byte, 1<<20)
	for start := time.Now(); time.Since(start) < 1200*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		if _, err := s.client.Read(buf); err != nil {
			t.Fatalf("given up after %v, though it reads: %v", time.Since(start), err)
		}
	}
}

func TestDescriptorIsHandedOnAfterCleanEnd(t *testing.T) {
	s := take(t, loop.New(1).Pick(), roomyTail, 0, true)
	s.conn.End(loop.Ended)
	fd := <-s.owner.reuse
	if got := s.owner.reasons(); !slices.Equal(got, []loop.Reason{loop.Ended}) {
		t.Errorf("closed %v before the descriptor is handed on, want ended", got)
	}
	nc, err := loop.Attach(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(fd, new(unix.Stat_t)); err != unix.EBADF {
		t.Errorf("fstat of the old descriptor: %v, want %v: Attach owns it", err, unix.EBADF)
	}
	_, _ = io.WriteString(nc, " and more")
	nc.Close()
	if got, err := io.ReadAll(s.client); err != nil || string(got) != "tail and more" {
		t.Errorf("read %q, %v; want the tail and what followed over the same connection", got, err)
	}
}

func TestDescriptorIsClosedAfterOtherEnds(t *testing.T) {
	s := take(t, loop.New(1).Pick(), roomyTail, 0, true)
	s.conn.End(loop.Shutdown)
	if got, err := io.ReadAll(s.client); err != nil || string(got) != "tail" {
		t.Errorf("read %q, %v; want the tail and the end", got, err)
	}
	wantClosed(t, s, loop.Shutdown)
	if len(s.owner.reuse) != 0 {
		t.Error("the descriptor was handed on")
	}
}

func TestDetachedDescriptor(t *testing.T) {
	client, server := dial(t)
	fd, err := loop.Detach(server, 42*time.Second, 17*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := server.Write([]byte("x")); err == nil {
		t.Error("the net.Conn is still open")
	}
	flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if flags&unix.O_NONBLOCK == 0 {
		t.Error("the descriptor blocks")
	}
	if fdFlags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fdFlags&unix.FD_CLOEXEC == 0 {
		t.Error("programs that are started inherit the descriptor")
	}
	// A peer that vanished without a word is noticed by these: its probes and
	// data go unanswered.
	for _, o := range []struct {
		name             string
		level, opt, want int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 42},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 42},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 17000},
	} {
		if got, err := unix.GetsockoptInt(fd, o.level, o.opt); err != nil || got != o.want {
			t.Errorf("%s is %d, %v; want %d", o.name, got, err, o.want)
		}
	}
	if n, err := loop.Write(fd, []byte("hello")); n != 5 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "hello" {
		t.Errorf("the client read %q, %v", got, err)
	}
}

func TestDetachNeedsADescriptor(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if fd, err := loop.Detach(a, 0, 0); err == nil || fd != -1 || !strings.Contains(err.Error(), "*net.pipe") {
		t.Errorf("got %d, %v; want an error that names the type", fd, err)
	}
}

func TestWriteDoesNotBlockNorRaiseSignals(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // blocking
	if err != nil {
		t.Fatal(os.NewSyscallError("socketpair", err))
	}
	defer unix.Close(fds[0])
	total := 0
	for {
		n, err := loop.Write(fds[0], make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	if total == 0 {
		t.Error("nothing was taken")
	}
	if n, err := loop.Write(fds[0], nil); n != 0 || err != nil {
		t.Errorf("write of nothing: %d, %v", n, err)
	}
	unix.Close(fds[1])
	if n, err := loop.Write(fds[0], []byte("x")); n != 0 || err == nil {
		t.Errorf("write to a closed connection: %d, %v; want an error", n, err)
	}
}
