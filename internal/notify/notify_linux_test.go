package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/internal/notify"
)

// A manager listens like systemd, which ignores datagrams of more than 4096 bytes.
type manager struct {
	*net.UnixConn
	t *testing.T
}

func listen(t *testing.T, socket string) *manager {
	t.Helper()
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &manager{nc, t}
}

// next returns the next datagram.
func (m *manager) next() string {
	m.t.Helper()
	b := make([]byte, 64<<10)
	_ = m.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := m.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	if n > 4096 {
		m.t.Errorf("%d bytes in one datagram", n)
	}
	return string(b[:n])
}

// open opens with variables like "NAME=value", and returns what is logged, too.
func open(variables ...string) (*notify.Manager, *bytes.Buffer) {
	var logged bytes.Buffer
	return notify.Open(func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}, slog.New(slog.NewTextHandler(&logged, nil))), &logged
}

func TestManagerIsToldOfEachState(t *testing.T) {
	for name, socket := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@weir-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			systemd := listen(t, socket)
			m, logged := open("NOTIFY_SOCKET=" + socket)
			m.Ready("serving a")
			m.Reloading()
			told := []string{systemd.next(), systemd.next()}
			m.Reloaded(errors.New("x: bad\ny: bad\nMAINPID=1"))
			m.Reloading()
			m.Reloaded(nil)
			m.Stopping("draining")
			told = append(told, systemd.next(), systemd.next(), systemd.next(), systemd.next())
			for i, want := range []string{
				"READY=1\nSTATUS=serving a",
				"RELOADING=1\nSTATUS=reading settings\nMONOTONIC_USEC=",
				"READY=1\nSTATUS=serving a; settings not reloaded: x: bad; y: bad; MAINPID=1",
				"RELOADING=1\nSTATUS=reading settings\nMONOTONIC_USEC=",
				"READY=1\nSTATUS=serving a",
				"STOPPING=1\nSTATUS=draining",
			} {
				if got, _ := strings.CutSuffix(told[i], digits(told[i])); got != want && told[i] != want {
					t.Errorf("datagram %d is %q, want %q", i, told[i], want)
				}
			}
			if logged.Len() > 0 {
				t.Error(logged)
			}
		})
	}
}

// digits returns those at the end of text.
func digits(text string) string { return text[len(strings.TrimRight(text, "0123456789")):] }

// TestReloadIsTimedByTheClockOfSystemd: else it could not tell this reload from one before.
func TestReloadIsTimedByTheClockOfSystemd(t *testing.T) {
	now := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano() / 1000
	}
	socket := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, socket)
	m, _ := open("NOTIFY_SOCKET=" + socket)
	before := now()
	m.Reloading()
	after := now()
	if usec, err := strconv.ParseInt(digits(systemd.next()), 10, 64); err != nil || usec < before || usec > after {
		t.Errorf("MONOTONIC_USEC is %d (%v), want %d to %d", usec, err, before, after)
	}
}

func TestLongStatusIsCutSoThatTheStateArrives(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, socket)
	m, _ := open("NOTIFY_SOCKET=" + socket)
	m.Ready(strings.Repeat("ä", 10_000)) // the cut goes through a letter
	if got := systemd.next(); !strings.HasPrefix(got, "READY=1\nSTATUS=ä") || !utf8.ValidString(got) {
		t.Errorf("datagram is %q", got)
	}
}

func TestSignsOfLifeComeAtHalfTheTimeUntilTheEnd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, socket)
	m, _ := open("NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000", "WATCHDOG_PID="+strconv.Itoa(os.Getpid()))
	ctx, stop := context.WithCancel(t.Context())
	var alive sync.WaitGroup
	begin := time.Now()
	alive.Go(func() { m.KeepAlive(ctx) })
	for range 5 {
		if got := systemd.next(); got != "WATCHDOG=1" {
			t.Errorf("datagram is %q", got)
		}
	}
	if took := time.Since(begin); took < 150*time.Millisecond {
		t.Errorf("5 signs of life within %v, want one each 50ms", took)
	}
	stop()
	alive.Wait() // or the test does not end
}

func TestNobodyIsToldWhereNobodyWantsToKnow(t *testing.T) {
	socket := "NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "notify") // nobody listens
	for _, c := range []struct {
		variables []string
		logged    string // "": nothing
	}{
		{nil, ""},
		{[]string{"WATCHDOG_USEC=1"}, ""},
		{[]string{"NOTIFY_SOCKET=vsock:2:1234"}, `NOTIFY_SOCKET is \"vsock:2:1234\": want a path that begins with / or @`},
		{[]string{socket, "WATCHDOG_USEC=0"}, `WATCHDOG_USEC is \"0\": want 1 to 9223372036854775`},
		{[]string{socket, "WATCHDOG_USEC=9223372036854776"}, "want 1 to 9223372036854775"},
		{[]string{socket}, "READY=1: dial unixgram"},
		{[]string{socket, "WATCHDOG_USEC=1000000", "WATCHDOG_PID=1"}, "STOPPING=1: dial unixgram"},
	} {
		m, logged := open(c.variables...)
		m.Ready("serving")
		m.KeepAlive(t.Context()) // returns, or the test does not end
		m.Stopping("draining")
		if got := logged.String(); !strings.Contains(got, c.logged) || (got == "") != (c.logged == "") {
			t.Errorf("with %q logged %q, want %q", c.variables, got, c.logged)
		}
	}
}
