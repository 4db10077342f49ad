// Package notify tells systemd how the program is: that it is ready, that it reads its
// settings again, that it stops, and that it is alive.
//
// [Open] is the name to start with. Without a service manager all calls do nothing.
// They may be made at once.
//
// Source: sd_notify(3), sd_watchdog_enabled(3).
package notify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sendTimeout bounds one message. The manager is on the same machine, but may be busy.
const sendTimeout = 5 * time.Second

// A Manager is who started the program and wants to know how it is.
type Manager struct {
	socket   string // path of the manager's socket, or @ and an abstract name; "": there is no manager
	watchdog time.Duration
	log      *slog.Logger

	mu      sync.Mutex
	serving string // guarded by mu; the status while all is well
}

// Open finds the manager by the variables that it sets: NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID. lookup returns the value of a variable, or "". What goes wrong, now or
// later, is logged: it keeps nobody from serving.
func Open(lookup func(name string) string, log *slog.Logger) *Manager {
	m := &Manager{log: log}
	socket := lookup("NOTIFY_SOCKET")
	if socket == "" {
		return m
	}
	if socket[0] != '/' && socket[0] != '@' {
		m.failed(fmt.Errorf("NOTIFY_SOCKET is %q: want a path that begins with / or @", socket))
		return m
	}
	m.socket = socket
	var err error
	if m.watchdog, err = readWatchdog(lookup); err != nil {
		m.failed(err)
	}
	return m
}

// readWatchdog returns the time within which the manager wants a sign of life, or 0.
func readWatchdog(lookup func(name string) string) (time.Duration, error) {
	text, pid := lookup("WATCHDOG_USEC"), lookup("WATCHDOG_PID")
	if text == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if most := int64(time.Duration(1<<63-1) / time.Microsecond); err != nil || usec < 1 || usec > most {
		return 0, fmt.Errorf("WATCHDOG_USEC is %q: want 1 to %d", text, most)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// Ready says that requests are served. status is one line for people.
func (m *Manager) Ready(status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = status
	m.send("READY=1", statusLine(status))
}

// Reloading says that settings are read again. Reloaded must follow.
func (m *Manager) Reloading() {
	lines := []string{"RELOADING=1", statusLine("reading settings")}
	if now := monotonic(); now > 0 {
		lines = append(lines, "MONOTONIC_USEC="+strconv.FormatInt(now, 10))
	}
	m.send(lines...)
}

// Reloaded says how that went. An error means that the old settings are in force.
func (m *Manager) Reloaded(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	status := m.serving
	if err != nil {
		status += "; settings not reloaded: " + err.Error()
	}
	m.send("READY=1", statusLine(status))
}

// Stopping says that the program is about to end. status is one line for people.
func (m *Manager) Stopping(status string) { m.send("STOPPING=1", statusLine(status)) }

// KeepAlive gives signs of life, twice as often as the manager wants them, until ctx
// ends. It returns at once if the manager wants none.
func (m *Manager) KeepAlive(ctx context.Context) {
	if m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(m.watchdog/2, time.Millisecond))
	defer tick.Stop()
	for {
		m.send("WATCHDOG=1")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// maxStatus bounds a status, in bytes. A datagram of more than 4096 would be ignored,
// with the state that it tells.
const maxStatus = 1000

// statusLine makes an assignment of a text that may have several lines, each of which
// would count as an assignment of its own.
func statusLine(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	return "STATUS=" + strings.ToValidUTF8(text[:min(len(text), maxStatus)], "")
}

// send writes one datagram. Each has a connection of its own, because the manager may
// open its socket anew.
func (m *Manager) send(lines ...string) {
	if m.socket == "" {
		return
	}
	nc, err := net.Dial("unixgram", m.socket)
	if err != nil {
		m.failed(fmt.Errorf("%s: %w", lines[0], err))
		return
	}
	defer nc.Close()
	_ = nc.SetWriteDeadline(time.Now().Add(sendTimeout)) // fails for closed connections only
	if _, err := nc.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		m.failed(fmt.Errorf("%s: %w", lines[0], err))
	}
}

func (m *Manager) failed(err error) { m.log.Warn("service manager not told", "error", err) }
