package mqtt_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/mqtt"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A server is mosquitto, which keeps what it has when save is called.
type server struct {
	t         *testing.T
	dir       string
	port, tls int
	settings  []string
	process   *proctest.Process
}

// newServer starts a server. The settings are for the listener without TLS, if they are
// for one.
func newServer(t *testing.T, settings ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), port: proctest.FreePort(), tls: proctest.FreePort()}
	if err := certtest.SelfSigned("127.0.0.1").Write(s.dir); err != nil {
		t.Fatal(err)
	}
	s.settings = append(settings, fmt.Sprintf("listener %d 127.0.0.1", s.tls), "certfile "+s.file("cert.pem"), "keyfile "+s.file("key.pem"))
	s.start()
	return s
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }
func (s *server) addr() string            { return fmt.Sprint("127.0.0.1:", s.port) }

func (s *server) start() {
	s.t.Helper()
	s.process = feedtest.LaunchMosquitto(s.t, s.dir, s.port, s.settings...)
}

// save has the server write all it has to the disk.
func (s *server) save() {
	s.t.Helper()
	pid, err := os.ReadFile(s.file("pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	before := strings.Count(s.process.Said(), "Saving in-memory database")
	if out, err := exec.Command("kill", "-USR1", strings.TrimSpace(string(pid))).CombinedOutput(); err != nil {
		s.t.Fatalf("kill: %v: %s", err, out)
	}
	feedtest.Await(s.t, "the file", func() error {
		return feedtest.Not(strings.Count(s.process.Said(), "Saving in-memory database") > before, "it has not saved")
	})
	s.client("after-save") // which the server answers only after it has written
}

// feed starts a feed of numbers/# to the topic in.
func (s *server) feed(bed *feedtest.Bed, change func(f *feed.Spec)) *feedtest.Running {
	s.t.Helper()
	f := feed.Spec{Name: "test", From: "mqtt://" + s.addr(), Subscribe: []string{"numbers/#"}, Topic: "in", DeadLetter: "dead"}
	if change != nil {
		change(&f)
	}
	if err := f.Check(); err != nil {
		s.t.Fatal(err)
	}
	source, err := mqtt.New(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return bed.Start(feed.Options{Spec: f, Source: source})
}

// subscribe makes the session of a feed, which then goes away.
func (s *server) subscribe(bed *feedtest.Bed, change func(f *feed.Spec)) {
	s.t.Helper()
	r := s.feed(bed, change)
	r.AwaitState(feed.Running)
	r.Stop()
}

// A client sends messages.
type client struct {
	t *testing.T
	*paho.Client
}

// client connects with MQTT 5, and with the user and password, if there are any.
func (s *server) client(name string, login ...string) *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	connect := &paho.Connect{ClientID: name, CleanStart: true, KeepAlive: 60}
	if len(login) == 2 {
		connect.Username, connect.UsernameFlag, connect.Password, connect.PasswordFlag = login[0], true, []byte(login[1]), true
	}
	c := &client{s.t, paho.NewClient(paho.ClientConfig{Conn: conn, PacketTimeout: feedtest.Patience})}
	if _, err := c.Connect(context.Background(), connect); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return c
}

// send publishes and waits until the server has it all.
func (c *client) send(messages ...*paho.Publish) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	defer cancel()
	for i, m := range messages {
		o := paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}
		if i == len(messages)-1 { // the server answers in order
			o.Method = paho.PublishMethod_Blocking
		}
		if _, err := c.PublishWithOptions(ctx, m, o); err != nil {
			c.t.Fatal(err)
		}
	}
}

// numbered are messages with numbers as body and as message-id.
func numbered(from, to int) []*paho.Publish {
	list := nameless(1, from, to)
	for _, p := range list {
		p.Properties = &paho.PublishProperties{User: paho.UserProperties{{Key: "message-id", Value: "m" + string(p.Payload)}}}
	}
	return list
}

// nameless are messages with numbers as body.
func nameless(qos byte, from, to int) []*paho.Publish {
	var list []*paho.Publish
	for _, n := range feedtest.Numbers(from, to) {
		list = append(list, &paho.Publish{Topic: "numbers/n", QoS: qos, Payload: []byte(n)})
	}
	return list
}

func awaitStats(t *testing.T, r *feedtest.Running, what string, ok func(s feed.Stats) bool) {
	t.Helper()
	feedtest.Await(t, what, func() error {
		s := r.Stats()
		return feedtest.Not(ok(s), "%+v", s)
	})
}

func awaitError(t *testing.T, r *feedtest.Running, want string) {
	t.Helper()
	awaitStats(t, r, "the error "+want, func(s feed.Stats) bool { return s.State == feed.Failing && strings.Contains(s.Error, want) })
}

// some waits until a bed has more than n messages.
func some(t *testing.T, bed *feedtest.Bed, n int) {
	t.Helper()
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) > n, "%d", len(bed.Data("in"))) })
}
