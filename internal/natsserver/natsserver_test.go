package natsserver_test

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/natsserver"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// ping asks the server for a sign of life.
func ping(t *testing.T, s *natsserver.Server) (greeting string, conn net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := bufio.NewReader(conn)
	greeting, err = r.ReadString('\n')
	if err == nil {
		_, err = conn.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n"))
	}
	var answer string
	if err == nil {
		answer, err = r.ReadString('\n')
	}
	if err != nil || answer != "PONG\r\n" {
		t.Fatalf("%q, %v", answer, err)
	}
	return greeting, conn
}

func TestServerComesBackOnItsPort(t *testing.T) {
	s := natsserver.Start(t, natsserver.Options{Config: "server_name: tester"})
	greeting, _ := ping(t, s)
	if !strings.Contains(greeting, `"server_name":"tester"`) || !strings.Contains(greeting, `"jetstream":true`) {
		t.Errorf("it says %s", greeting)
	}
	s.Kill()
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		conn.Close()
		t.Error("it was killed and still listens")
	}
	s.Restart()
	ping(t, s)
	if n := strings.Count(s.Said(), "Server is ready"); n != 2 {
		t.Errorf("it was ready %d times, want 2", n)
	}
}

func TestPausedServerIsSilent(t *testing.T) {
	s := natsserver.Start(t, natsserver.Options{Bare: true})
	greeting, conn := ping(t, s)
	if strings.Contains(greeting, "jetstream") {
		t.Errorf("it says %s", greeting)
	}
	s.Pause()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	answer := make([]byte, 6)
	if n, err := conn.Read(answer); err == nil {
		t.Fatalf("it is paused and says %q", answer[:n])
	}
	s.Resume()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "PONG\r\n" {
		t.Errorf("%q, %v", answer[:n], err)
	}
}

// TestClusterGoesOnWithoutItsLeader kills it, and starts it again.
func TestClusterGoesOnWithoutItsLeader(t *testing.T) {
	c := natsserver.StartCluster(t, natsserver.Options{Lazy: true})
	first := c.Leader("probe")
	first.Kill()
	if second := c.Leader("probe", first); second == first {
		t.Error("who was killed leads the stream")
	}
	first.Restart()
	c.Leader("probe")
	for _, s := range c.Servers {
		if !strings.Contains(c.URL(), s.Addr()) {
			t.Errorf("the URL is %s, without %s", c.URL(), s.Addr())
		}
	}
}
