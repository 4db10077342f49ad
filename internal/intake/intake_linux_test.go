package intake_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/internal/intake"
)

// maxRequest is the package's limit.
const maxRequest = 64 << 10

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	const n = 3000
	h := serve(t, intake.Options{})
	c := h.connect(t)
	var all strings.Builder
	for i := range n {
		all.WriteString(post("/a", fmt.Sprint(i)))
	}
	go io.WriteString(c, all.String()) // ends when all is read, or c is closed
	in := bufio.NewReader(c)
	for i := range n {
		if got, want := answer(t, in), fmt.Sprintf("/a %d", i); got != want {
			t.Fatalf("answer %d is %q, want %q", i, got, want)
		}
	}
}

func TestRequestMayArriveByteByByte(t *testing.T) {
	h := serve(t, intake.Options{})
	c := h.connect(t)
	in := bufio.NewReader(c)
	for range 3 {
		for _, b := range []byte(post("/a", "hello")) {
			write(t, c, string(b))
		}
		if got := answer(t, in); got != "/a hello" {
			t.Fatalf("answer is %q", got)
		}
	}
	if got := h.requests(); len(got) != 3 {
		t.Errorf("served %q", got)
	}
}

// TestUnreadIsServedFirst adopts connections of which something was read already.
func TestUnreadIsServedFirst(t *testing.T) {
	for _, unread := range []string{"", "P", post("/a", "1"), post("/a", "1") + post("/a", "2")[:20]} {
		h := serve(t, intake.Options{})
		client, server := pair(t)
		write(t, client, (post("/a", "1") + post("/a", "2"))[len(unread):])
		h.adopt(t, server, unread)
		in := bufio.NewReader(client)
		if first, second := answer(t, in), answer(t, in); first != "/a 1" || second != "/a 2" {
			t.Errorf("unread %q: answers are %q and %q", unread, first, second)
		}
	}
}

// TestLastRequestOfAHalfClosedClientIsAnswered has the end of the stream arrive
// together with the request.
func TestLastRequestOfAHalfClosedClientIsAnswered(t *testing.T) {
	h := serve(t, intake.Options{})
	for range 50 {
		client, server := pair(t)
		write(t, client, post("/a", "1")+post("/a", "2"))
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		h.adopt(t, server, "")
		in := bufio.NewReader(client)
		if first, second := answer(t, in), answer(t, in); first != "/a 1" || second != "/a 2" {
			t.Fatalf("answers are %q and %q", first, second)
		}
		ended(t, in)
	}
	eventually(t, "no connection is left", func() bool { return h.Len() == 0 })
}

// TestOtherRequestsAreGivenBackWhole sends requests of all kinds behind plain
// ones. What goes back, with what is still in the socket, is all of them.
func TestOtherRequestsAreGivenBackWhole(t *testing.T) {
	large := post("/a", strings.Repeat("x", maxRequest))
	for _, other := range []string{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		post("/no", "refused by the handler"),
		post("/a%20b", "x"),
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		large[:100], large, large + post("/a", "behind"),
		"\r\n" + post("/a", "x"),
		strings.Repeat("x", 3*maxRequest),
	} {
		h := serve(t, intake.Options{})
		c := h.connect(t)
		in := bufio.NewReader(c)
		go func() { // ends when all is read
			_, _ = io.WriteString(c, post("/a", "1")+post("/a", "2")+other)
			_ = c.CloseWrite()
		}()
		if first, second := answer(t, in), answer(t, in); first != "/a 1" || second != "/a 2" {
			t.Errorf("answers are %q and %q", first, second)
		}
		g := h.back(t)
		rest, err := io.ReadAll(g)
		if got := string(g.unread) + string(rest); err != nil || got != other {
			t.Errorf("given back are %d bytes %.100q (%v), want %d bytes %.100q", len(got), got, err, len(other), other)
		}
		write(t, g, "from net/http")
		g.Close()
		if got, err := io.ReadAll(in); string(got) != "from net/http" {
			t.Errorf("the client reads %q, %v", got, err)
		}
		if n := h.Len(); n != 0 {
			t.Errorf("%d connections are adopted after one was given back", n)
		}
	}
}

func TestRequestOfTheLargestSizeIsServed(t *testing.T) {
	h := serve(t, intake.Options{})
	c := h.connect(t)
	in := bufio.NewReader(c)
	body := strings.Repeat("x", maxRequest-len(post("/a", strings.Repeat("x", 10000)))+10000)
	if n := len(post("/a", body)); n != maxRequest {
		t.Fatalf("the request has %d bytes", n)
	}
	for range 3 {
		go io.WriteString(c, post("/a", body)) // ends when all is read
		if got := answer(t, in); got != "/a "+body {
			t.Fatalf("answer is %d bytes, want %d", len(got), len(body)+3)
		}
	}
}

// TestSilentConnectionsAreClosed: some are silent from the begin, one after a
// request.
func TestSilentConnectionsAreClosed(t *testing.T) {
	const idle = 200 * time.Millisecond
	h := serve(t, intake.Options{Workers: 1, Idle: idle})
	began := time.Now()
	silent, busy, second := h.connect(t), h.connect(t), h.connect(t)
	in := bufio.NewReader(busy)
	var last time.Time
	for range 20 {
		last = time.Now()
		write(t, busy, post("/a", "x"))
		answer(t, in)
	}
	ended(t, silent)
	ended(t, second)
	if d := time.Since(began); d < idle {
		t.Errorf("closed after %v, idle is %v", d, idle)
	}
	ended(t, in)
	if d := time.Since(last); d < idle {
		t.Errorf("closed %v after the last request, idle is %v", d, idle)
	}
	eventually(t, "the worker ends", func() bool { return h.Len() == 0 && !strings.Contains(goroutines(), "worker).run") })
}

// TestSlowRequestGoesToNetHTTP sends bytes often enough never to be silent, but
// too slowly. That takes a second, however long a connection may be silent.
func TestSlowRequestGoesToNetHTTP(t *testing.T) {
	h := serve(t, intake.Options{Workers: 1, Idle: time.Hour})
	c := h.connect(t)
	request := post("/a", strings.Repeat("x", 60000))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	sent := 0
	for len(h.given) == 0 {
		if sent == len(request) {
			t.Fatal("the request was taken, however slow")
		}
		<-tick.C
		write(t, c, request[sent:sent+1])
		sent++
	}
	g := h.back(t)
	if len(g.unread) == 0 || !strings.HasPrefix(request, string(g.unread)) {
		t.Errorf("net/http reads %q", g.unread)
	}
}

func TestResetEndsAConnection(t *testing.T) {
	h := serve(t, intake.Options{})
	for _, before := range []string{"", "POST /", post("/a", "x")} {
		c := h.connect(t)
		write(t, c, before)
		_ = c.SetLinger(0)
		c.Close()
		eventually(t, "no connection is left", func() bool { return h.Len() == 0 })
	}
}

// TestCloseEndsConnectionsInEveryState closes with silent, half-sent and unread
// ones. Whatever was answered before has been served.
func TestCloseEndsConnectionsInEveryState(t *testing.T) {
	before := descriptors()
	h := serve(t, intake.Options{Workers: 2})
	var clients []net.Conn
	for i := range 12 {
		c := h.connect(t)
		clients = append(clients, c)
		switch i % 3 {
		case 1:
			write(t, c, "POST / HTTP/1.1\r\n")
		case 2:
			write(t, c, post("/a", fmt.Sprint(i)))
			answer(t, bufio.NewReader(c))
		}
	}
	h.Close()
	h.Close()
	eventually(t, "the workers end", func() bool { return !strings.Contains(goroutines(), "worker).run") })
	if n := h.Len(); n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	for i, c := range clients {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("connection %d: there is more to read", i)
		}
		c.Close()
	}
	if got := descriptors(); got > before {
		t.Errorf("%d descriptors before, %d after", before, got)
	}
	if got := h.requests(); len(got) != 4 {
		t.Errorf("served %q, want 4 requests", got)
	}
	late, server := pair(t)
	h.adopt(t, server, "")
	ended(t, late)
}

// A hurdle is a handler that says when it is called, and then waits.
type hurdle struct{ reached, pass chan struct{} }

func (h hurdle) NewBatch() intake.Batch { return h }

func (hurdle) Add(*intake.Request) bool { return true }

func (h hurdle) Commit() error {
	h.reached <- struct{}{}
	<-h.pass
	return nil
}

func (hurdle) Answer(dst []byte, _ int) []byte {
	return append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"...)
}

func (hurdle) Reset() {}

// TestCloseFinishesWhatIsBeingServed closes while a request is being answered, and
// while another connection waits to be taken in.
func TestCloseFinishesWhatIsBeingServed(t *testing.T) {
	before := descriptors()
	hurdle := hurdle{make(chan struct{}), make(chan struct{})}
	h := &harness{Server: intake.New(hurdle, intake.Options{Workers: 1})}
	busy := h.connect(t)
	write(t, busy, post("/a", ""))
	<-hurdle.reached
	waiting := h.connect(t)
	closed := make(chan struct{})
	go func() {
		h.Close()
		close(closed)
	}()
	eventually(t, "Close waits", func() bool { return strings.Contains(goroutines(), "worker).close(") })
	select {
	case <-closed:
		t.Error("Close returns while a request is being answered")
	default:
	}
	close(hurdle.pass)
	<-closed
	in := bufio.NewReader(busy)
	if got := answer(t, in); got != "x" {
		t.Errorf("answer is %q", got)
	}
	ended(t, in)
	ended(t, waiting)
	if n := h.Len(); n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	busy.Close()
	waiting.Close()
	eventually(t, "all is closed", func() bool { return descriptors() <= before })
}

// TestWorkersComeAndGo has the last connection of a worker end while the next one
// is adopted, in any order.
func TestWorkersComeAndGo(t *testing.T) {
	before := descriptors()
	h := serve(t, intake.Options{Workers: 1, Idle: time.Second})
	for i := range 500 {
		c := h.connect(t)
		if i%2 == 0 { // the worker must serve it, and not only exist
			write(t, c, post("/a", "x"))
			answer(t, bufio.NewReader(c))
		}
		if c.Close(); i%5 == 0 {
			eventually(t, "no connection is left", func() bool { return h.Len() == 0 })
		}
	}
	eventually(t, "all is closed", func() bool { return descriptors() <= before && !strings.Contains(goroutines(), "worker).run") })
}

// TestAdoptDuringCloseClosesOrServes has connections adopted from all sides while
// the server closes.
func TestAdoptDuringCloseClosesOrServes(t *testing.T) {
	before := descriptors()
	for range 20 {
		h := serve(t, intake.Options{Workers: 2})
		var clients []*net.TCPConn
		var servers []net.Conn
		for range 16 {
			c, s := pair(t)
			write(t, c, post("/a", "x"))
			clients, servers = append(clients, c), append(servers, s)
		}
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(func() { h.adopt(t, s, "") })
		}
		wg.Go(h.Close)
		wg.Wait()
		h.Close()
		answered := 0
		for _, c := range clients {
			got, _ := io.ReadAll(c) // a reset if the request was not read
			if strings.HasSuffix(string(got), "/a x") {
				answered++
			} else if len(got) > 0 {
				t.Errorf("half an answer: %q", got)
			}
			c.Close()
		}
		if served := len(h.requests()); served < answered || h.Len() != 0 {
			t.Errorf("%d answers to %d requests, %d connections after Close", answered, served, h.Len())
		}
	}
	eventually(t, "all is closed", func() bool { return descriptors() <= before })
}

// TestManyConnectionsKeepTheirOrder sends from many connections at once, each
// some requests ahead of its answers.
func TestManyConnectionsKeepTheirOrder(t *testing.T) {
	const conns, each, ahead = 32, 200, 4
	h := serve(t, intake.Options{Workers: 2})
	var wg sync.WaitGroup
	for n := range conns {
		c := h.connect(t)
		wg.Go(func() {
			in := bufio.NewReader(c)
			for i := range each + ahead {
				if i < each {
					_, _ = io.WriteString(c, post(fmt.Sprintf("/%d", n), fmt.Sprint(i)))
				}
				if i < ahead {
					continue
				}
				want := fmt.Sprintf("/%d %d", n, i-ahead)
				if got := answer(t, in); got != want {
					t.Errorf("answer is %q, want %q", got, want)
					return
				}
			}
			c.Close()
		})
	}
	wg.Wait()
	seen := h.requests()
	if len(seen) != conns*each {
		t.Errorf("%d requests were served, want %d", len(seen), conns*each)
	}
	for n := range conns {
		prefix := fmt.Sprintf("/%d ", n)
		own := slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return !strings.HasPrefix(s, prefix) })
		for i, s := range own {
			if s != prefix+fmt.Sprint(i) {
				t.Fatalf("connection %d: request %d is %q", n, i, s)
			}
		}
	}
}

// TestSilentWorkerSleeps has connections that do nothing cost nothing.
func TestSilentWorkerSleeps(t *testing.T) {
	h := serve(t, intake.Options{Workers: 1})
	c := h.connect(t)
	write(t, c, post("/a", "x")+"POST")
	answer(t, bufio.NewReader(c))
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	<-time.After(200 * time.Millisecond)
	if d := used() - before; d > 100*time.Millisecond {
		t.Errorf("%v of processor time in 200 ms of silence", d)
	}
}
