package intake

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A bench is a worker without its goroutine, and one connection: the test decides
// when it turns.
type bench struct {
	*worker
	conn  *conn
	peer  int // the client's end; -1 once closed
	log   []string
	given chan handed
}

// A handed connection was given back with what is unread of it.
type handed struct {
	fd     int
	unread []byte
}

// newBench returns a bench whose handler answers every POST to a path other than
// /no with size bytes and the request's body.
func newBench(t *testing.T, size int) *bench {
	t.Helper()
	b := &bench{given: make(chan handed, 1)}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	padding := strings.Repeat("-", size)
	b.worker = &worker{idle: time.Hour, epoll: epoll, conns: make(map[int32]*conn), buf: make([]byte, 2*maxRequest),
		batch: &batchOf{answer: func(dst []byte, r *Request) ([]byte, bool) {
			if string(r.Method) != "POST" || string(r.Path) == "/no" {
				return dst, false
			}
			b.log = append(b.log, r.target()+" "+string(r.Body))
			return append(append(append(dst, padding...), r.Body...), '\n'), true
		}}}
	b.peer = ends[1]
	b.count.Add(1)
	b.watch(Conn{FD: ends[0], GiveBack: func(fd int, unread []byte) { b.given <- handed{fd, unread} }})
	b.conn = b.conns[int32(ends[0])]
	t.Cleanup(func() {
		b.closeAll(nil)
		unix.Close(epoll)
		b.hangUp()
	})
	return b
}

// A batchOf answers each request when it is added.
type batchOf struct {
	answer  func(dst []byte, r *Request) ([]byte, bool)
	answers [][]byte
	fails   bool // Commit does
}

func (b *batchOf) Add(r *Request) bool {
	text, ok := b.answer(nil, r)
	if ok {
		b.answers = append(b.answers, text)
	}
	return ok
}

func (b *batchOf) Commit() error {
	if b.fails {
		return io.ErrClosedPipe
	}
	return nil
}

func (b *batchOf) Answer(dst []byte, i int) []byte { return append(dst, b.answers[i]...) }
func (b *batchOf) Reset()                          { b.answers = b.answers[:0] }

func (b *bench) hangUp() {
	if b.peer >= 0 {
		unix.Close(b.peer)
		b.peer = -1
	}
}

// turn does what run does once, and returns for how many connections. Other
// connections have used the buffers in between.
func (b *bench) turn(t *testing.T) int {
	t.Helper()
	b.scribble()
	defer b.scribble()
	var events [8]unix.EpollEvent
	n, err := unix.EpollWait(b.epoll, events[:], 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events[:n] {
		b.event(b.conns[ev.Fd], ev.Events)
	}
	b.flush()
	return n
}

func (b *bench) scribble() {
	clear(b.buf)
	clear(b.out[:cap(b.out)])
}

// write sends as much of p as the socket takes.
func (b *bench) write(t *testing.T, p []byte) int {
	t.Helper()
	if len(p) == 0 {
		return 0
	}
	n, err := transmit(b.peer, p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read returns what has arrived at the client.
func (b *bench) read(t *testing.T) []byte {
	t.Helper()
	var all []byte
	p := make([]byte, 64<<10)
	for {
		n, err := receive(b.peer, p)
		if n <= 0 {
			if err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			return all
		}
		all = append(all, p[:n]...)
	}
}

// handedBack waits for the goroutine that gives the connection back, and returns
// what is unread of it, the bytes in the socket included.
func (b *bench) handedBack(t *testing.T) string {
	t.Helper()
	select {
	case g := <-b.given:
		defer unix.Close(g.fd)
		for p := make([]byte, 4096); ; {
			n, _ := receive(g.fd, p)
			if n <= 0 { // the end, or nothing yet
				return string(g.unread)
			}
			g.unread = append(g.unread, p[:n]...)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not given back within 10 s")
		return ""
	}
}

func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
}

// many returns n requests, and what is answered to them.
func many(n, size int) (requests []byte, answers string) {
	var in, out bytes.Buffer
	for i := range n {
		in.WriteString(post("/a", fmt.Sprint(i)))
		fmt.Fprintf(&out, "%s%d\n", strings.Repeat("-", size), i)
	}
	return in.Bytes(), out.String()
}

// A fate is all that can be told of a connection from outside.
type fate struct {
	answers, log, unread string
	givenBack            bool
}

// send has input arrive in pieces as long as cuts say, and the rest at once.
func send(t *testing.T, input, cuts []byte) (f fate) {
	t.Helper()
	b := newBench(t, 3)
	for len(input) > 0 {
		n := len(input)
		if len(cuts) > 0 {
			n, cuts = min(n, int(cuts[0])), cuts[1:]
		}
		sent := b.write(t, input[:n])
		input = input[sent:]
		for b.turn(t) > 0 {
		}
		f.answers += string(b.read(t))
	}
	f.givenBack = len(b.conns) == 0
	if f.unread = string(b.conn.partial); f.givenBack {
		f.unread = b.handedBack(t)
	}
	f.log = strings.Join(b.log, "\n")
	return f
}

// FuzzSplitReadsAgree has any bytes arrive in any pieces. What is served, what is
// answered, and what is left for net/http must not depend on the pieces.
func FuzzSplitReadsAgree(f *testing.F) {
	two := post("/a", "x") + post("/b", "yz")
	f.Add([]byte(two), bytes.Repeat([]byte{1}, 200))
	f.Add([]byte(two+"GET / HTTP/1.1\r\n\r\n"+two), []byte{30, 40, 50})
	f.Add([]byte(two+post("/no", "x")+two), []byte{100, 5})
	f.Add([]byte(two+"\r\n"+two), []byte{0, 1, 2})
	f.Add([]byte(two[:len(two)-1]), []byte{})
	f.Add([]byte(post("/a", strings.Repeat("x", maxHead))), bytes.Repeat([]byte{250}, 20))
	f.Fuzz(func(t *testing.T, input, cuts []byte) {
		if got, want := send(t, input, cuts), send(t, input, nil); got != want {
			t.Fatalf("%q in pieces of %v\n got %+v\nwant %+v", input, cuts, got, want)
		}
	})
}

// TestLargestRequestMayArriveInPieces sends a request of the largest size, behind
// one that takes the other half of the buffer.
func TestLargestRequestMayArriveInPieces(t *testing.T) {
	large := post("/a", strings.Repeat("x", maxRequest-len(post("/a", ""))-4))
	if len(large) != maxRequest {
		t.Fatalf("the request is %d bytes", len(large))
	}
	b := newBench(t, 0)
	for _, part := range []string{large[:1], large[1 : maxRequest-1], large[maxRequest-1:] + large, large + large[:maxRequest-1], large[maxRequest-1:]} {
		for rest := []byte(part); len(rest) > 0; {
			rest = rest[b.write(t, rest):]
			for b.turn(t) > 0 {
			}
			b.read(t)
		}
	}
	if len(b.log) != 4 || len(b.conn.partial) != 0 {
		t.Errorf("%d requests are served, %d bytes are left, want 4 and 0", len(b.log), len(b.conn.partial))
	}
	if b.conn.partial != nil {
		t.Errorf("%d bytes stay allocated for the next request", cap(b.conn.partial))
	}
}

// TestWhoDoesNotReadIsNotServed pipelines requests with large answers: nothing
// more is read while one waits, and the connection goes on in order afterwards.
func TestWhoDoesNotReadIsNotServed(t *testing.T) {
	const size = 500
	requests, want := many(10000, size)
	b := newBench(t, size)
	rest := requests
	for n := -1; n != 0 && len(rest) > 0; {
		n = b.write(t, rest)
		rest = rest[n:]
		b.turn(t)
	}
	if len(rest) == 0 {
		t.Fatal("all requests were taken, so this test proves nothing")
	}
	if n := b.turn(t); n != 0 || len(b.conn.unsent) == 0 {
		t.Errorf("the client does not read: %d events, %d bytes wait to be sent", n, len(b.conn.unsent))
	}
	if limit := (2*maxRequest/len(post("/a", "1")) + 1) * (size + 5); len(b.conn.unsent) > limit {
		t.Errorf("%d bytes wait to be sent, limit %d", len(b.conn.unsent), limit)
	}
	var got []byte
	for b.conn.fd >= 0 && (len(rest) > 0 || len(got) < len(want)) {
		before := len(got) - len(rest)
		got = append(got, b.read(t)...)
		b.turn(t)
		if len(rest) > 0 {
			rest = rest[b.write(t, rest):]
		}
		b.turn(t)
		if got = append(got, b.read(t)...); len(got)-len(rest) == before {
			t.Fatalf("nothing moves: %d bytes unsent by the client, %d of %d read", len(rest), len(got), len(want))
		}
	}
	if string(got) != want {
		t.Errorf("the answers, %d bytes, differ from what is expected, %d bytes", len(got), len(want))
	}
}

// TestHalfClosedClientThatDoesNotReadWakesNobody: epoll goes on reporting the end
// of the stream for as long as it is asked to.
func TestHalfClosedClientThatDoesNotReadWakesNobody(t *testing.T) {
	const size = 3000
	requests, want := many(1000, size)
	b := newBench(t, size)
	sent := b.write(t, requests)
	if sent < len(requests) {
		t.Fatalf("the socket takes only %d of %d bytes", sent, len(requests))
	}
	if err := unix.Shutdown(b.peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	b.turn(t)
	if len(b.conn.unsent) == 0 {
		t.Fatal("all answers fit, so this test proves nothing")
	}
	if n := b.turn(t); n != 0 {
		t.Error("the worker would spin: an event is reported although there is nothing to do")
	}
	var got []byte
	for b.conn.fd >= 0 {
		got = append(got, b.read(t)...)
		if b.turn(t) == 0 {
			break
		}
	}
	if got = append(got, b.read(t)...); string(got) != want {
		t.Errorf("%d bytes of answers arrive, want %d", len(got), len(want))
	}
	if b.conn.fd >= 0 || b.Len() != 0 {
		t.Error("the connection is still open after the last answer")
	}
}

// Len is as in Server.
func (w *worker) Len() int { return int(w.count.Load()) }

// TestAnswersComeBeforeThoseOfNetHTTP sends something for net/http behind many
// requests whose answers do not fit into the socket.
func TestAnswersComeBeforeThoseOfNetHTTP(t *testing.T) {
	const size = 3000
	requests, want := many(1000, size)
	last := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	b := newBench(t, size)
	if sent := b.write(t, append(requests, last...)); sent < len(requests)+len(last) {
		t.Fatalf("the socket takes only %d of %d bytes", sent, len(requests)+len(last))
	}
	b.turn(t)
	if len(b.conn.unsent) == 0 {
		t.Fatal("all answers fit, so this test proves nothing")
	}
	var got []byte
	for b.conn.fd >= 0 && len(b.conns) > 0 {
		if len(b.given) > 0 {
			t.Fatal("given back while answers wait to be sent")
		}
		got = append(got, b.read(t)...)
		b.turn(t)
	}
	if b.conn.fd < 0 {
		t.Fatal("the connection is closed")
	}
	if got = append(got, b.read(t)...); string(got) != want {
		t.Errorf("%d bytes of answers arrive, want %d", len(got), len(want))
	}
	if unread := b.handedBack(t); unread != last {
		t.Errorf("net/http reads %q, want %q", unread, last)
	}
}

// TestWhatFailsIsNetHTTPs fails to commit: every connection of the batch goes to
// net/http with the requests that it had there, and with what came after them.
func TestWhatFailsIsNetHTTPs(t *testing.T) {
	b := newBench(t, 0)
	b.batch.(*batchOf).fails = true
	input := post("/a", "x") + post("/b", "y") + "POST /c"
	b.write(t, []byte(input))
	b.turn(t)
	if unread := b.handedBack(t); unread != input {
		t.Errorf("net/http reads %q, want %q", unread, input)
	}
	if got := b.read(t); len(got) > 0 {
		t.Errorf("%q is answered", got)
	}
}

// TestWhoIsGoneIsClosed closes the client's end in each state.
func TestWhoIsGoneIsClosed(t *testing.T) {
	requests, _ := many(1000, 3000)
	for what, input := range map[string][]byte{"idle": nil, "answered": []byte(post("/a", "")), "answers wait": requests} {
		b := newBench(t, 3000)
		b.write(t, input)
		b.turn(t)
		if waits := len(b.conn.unsent) > 0; waits != (what == "answers wait") {
			t.Fatalf("%s: unsent is %d bytes", what, len(b.conn.unsent))
		}
		b.hangUp()
		for b.turn(t) > 0 {
		}
		if b.conn.fd >= 0 || b.Len() != 0 {
			t.Errorf("%s: the connection is still open", what)
		}
	}
}

// TestRequestThatEndsEarlyIsNetHTTPs: net/http tells the client.
func TestRequestThatEndsEarlyIsNetHTTPs(t *testing.T) {
	for _, part := range []string{"P", "POST / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"} {
		b := newBench(t, 0)
		b.write(t, []byte(post("/a", "x")+part))
		if err := unix.Shutdown(b.peer, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		for b.turn(t) > 0 {
		}
		if unread := b.handedBack(t); unread != part {
			t.Errorf("net/http reads %q, want %q", unread, part)
		}
		if got := string(b.read(t)); got != "x\n" {
			t.Errorf("the request before is answered with %q", got)
		}
	}
}

// TestSilenceIsCountedFromTheRequest sweeps with times of its own: who answers
// nothing is closed, and a request does not stay for as long as bytes trickle in.
func TestSilenceIsCountedFromTheRequest(t *testing.T) {
	b := newBench(t, 0)
	b.write(t, []byte("POST /"))
	b.turn(t)
	began := b.conn.active
	b.write(t, []byte("a"))
	b.turn(t)
	if b.conn.active != began {
		t.Error("a byte more makes the request begin anew")
	}
	b.sweep(began.Add(late - 1))
	if len(b.conns) != 1 {
		t.Fatal("swept too early")
	}
	if every := b.sweepEvery(); every != late/4 {
		t.Errorf("the next sweep is in %v, although a request has begun", every)
	}
	b.swept = time.Time{}
	b.sweep(began.Add(late))
	if unread := b.handedBack(t); unread != "POST /a" {
		t.Errorf("net/http reads %q", unread)
	}

	b = newBench(t, 0)
	b.write(t, []byte(post("/a", "")+"POST"))
	b.turn(t)
	began = b.conn.active
	b.write(t, []byte(post("/b", "")[4:]))
	b.turn(t)
	if len(b.log) != 2 || !b.conn.active.After(began) {
		t.Error("an answer does not count as activity")
	}
	b.sweep(b.conn.active.Add(b.idle))
	if b.conn.fd >= 0 || b.Len() != 0 {
		t.Error("a silent connection is not closed")
	}
}

// TestUnreadMayBeLarge adopts a connection with more bytes than the buffer has.
func TestUnreadMayBeLarge(t *testing.T) {
	requests, want := many(5000, 0)
	if len(requests) <= 2*maxRequest {
		t.Fatalf("the requests are only %d bytes", len(requests))
	}
	b := newBench(t, 0)
	fd := b.conn.fd
	b.forget(b.conn)
	b.count.Add(2)
	b.watch(Conn{FD: fd, Unread: requests, GiveBack: b.conn.giveBack})
	b.flush()
	b.count.Add(-1)
	if got := string(b.read(t)); got != want {
		t.Errorf("%d bytes of answers arrive, want %d", len(got), len(want))
	}
}

// BenchmarkServe is one request on one connection: read, parse, answer, write.
func BenchmarkServe(b *testing.B) {
	for _, pipelined := range []int{1, 64} {
		b.Run(fmt.Sprintf("pipelined=%d", pipelined), func(b *testing.B) {
			w := &worker{idle: time.Hour, conns: make(map[int32]*conn), buf: make([]byte, 2*maxRequest),
				batch: &batchOf{answer: func([]byte, *Request) ([]byte, bool) { return []byte(plain), true }}}
			ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer unix.Close(ends[0])
			defer unix.Close(ends[1])
			c := &conn{fd: ends[0]}
			input, scrap := bytes.Repeat([]byte(plain), pipelined), make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transmit(ends[1], input); err != nil {
					b.Fatal(err)
				}
				w.event(c, unix.EPOLLIN)
				w.flush()
				if n, err := receive(ends[1], scrap); n != len(input) {
					b.Fatal(n, err, io.ErrShortWrite)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipelined), "ns/request")
		})
	}
}
