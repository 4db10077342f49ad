package clients_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// A manager is told by the program how it is, as systemd would be.
type manager struct {
	t      *testing.T
	socket string
	nc     *net.UnixConn
	alive  int // signs of life so far
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, socket: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.nc, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.nc.Close() })
	return m
}

// next returns the lines of the next datagram that is no sign of life.
func (m *manager) next() []string {
	m.t.Helper()
	for {
		lines := m.read()
		if !slices.Equal(lines, []string{"WATCHDOG=1"}) {
			return lines
		}
		m.alive++
	}
}

func (m *manager) read() []string {
	m.t.Helper()
	b := make([]byte, 4096)
	_ = m.nc.SetReadDeadline(time.Now().Add(patience))
	n, err := m.nc.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Split(string(b[:n]), "\n")
}

// await wants the next datagram to have a state and a status that contains a text.
func (m *manager) await(state, status string) {
	m.t.Helper()
	lines := m.next()
	if len(lines) < 2 || lines[0] != state || !strings.HasPrefix(lines[1], "STATUS=") || !strings.Contains(lines[1], status) {
		m.t.Fatalf("systemd is told %q, want %s and a status with %q", lines, state, status)
	}
	if timed := strings.HasPrefix(lines[len(lines)-1], "MONOTONIC_USEC="); timed != (state == "RELOADING=1") {
		m.t.Errorf("systemd is told %q", lines)
	}
}

func TestSystemdIsToldHowTheServerIs(t *testing.T) {
	t.Parallel()
	systemd, addr := newManager(t), proctest.FreeAddr()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\n")
	p := launch(t, proctest.Launch{
		Env:  []string{"NOTIFY_SOCKET=" + systemd.socket, "WATCHDOG_USEC=20000"},
		Args: []string{weirPath, "serve", "--listen", addr, "--config", file, "--drain.window", "500ms"},
	})

	systemd.await("READY=1", "serving http://"+addr)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("ready, but %v", err)
	}
	nc.Close()

	p.signal(syscall.SIGHUP)
	systemd.await("RELOADING=1", "reading settings")
	systemd.await("READY=1", "serving http://"+addr)

	write("log: {level: loud}\nhub: {polly: 1}\n")
	p.signal(syscall.SIGHUP)
	systemd.await("RELOADING=1", "reading settings")
	systemd.await("READY=1", "settings not reloaded: ")

	for before := systemd.alive; systemd.alive < before+3; systemd.alive++ {
		if lines := systemd.read(); !slices.Equal(lines, []string{"WATCHDOG=1"}) {
			t.Fatalf("systemd is told %q, want signs of life", lines)
		}
	}

	p.signal(syscall.SIGTERM)
	systemd.await("STOPPING=1", "draining")
	if code := p.code(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}
