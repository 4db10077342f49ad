package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	pingEvery    = time.Second // a server that leaves two pings without an answer is left
	firstDelay   = 10 * time.Millisecond
	longestDelay = 500 * time.Millisecond
)

var (
	errBroken  = errors.New("the connection broke")
	errNowhere = errors.New("no server can be reached")
)

// A line is the connection to one of the servers, and to another when it breaks.
type line struct {
	*nats.Conn
	wait time.Duration // for an answer

	mu     sync.Mutex
	whole  context.Context    // guarded by mu: ends when the connection breaks; there is a new one then
	broken context.CancelFunc // guarded by mu
	closed bool               // guarded by mu
}

func dial(ctx context.Context, p place, wait time.Duration, logger *slog.Logger) (*line, error) {
	l := &line{wait: wait}
	l.whole, l.broken = context.WithCancel(context.Background())
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end))
	}
	options := append(p.options,
		nats.Name("weir"), nats.Timeout(wait), nats.MaxReconnects(-1), nats.CustomReconnectDelay(delay),
		nats.IgnoreAuthErrorAbort(), // or two refusals, of a server that is being set up, would end it for good
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.cut(false) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { logger.Warn("nats", "error", err) }),
	)
	var err error
	if l.Conn, err = nats.Connect(strings.Join(p.servers, ","), options...); err != nil {
		return nil, fmt.Errorf("natslog: connect: %w", err)
	}
	if version := l.ConnectedServerVersion(); !newEnough(version) {
		l.close()
		return nil, fmt.Errorf("natslog: the server is NATS %s, want 2.11 or newer", version)
	}
	return l, nil
}

// delay is how long to wait when none of the servers could be reached n times.
func delay(n int) time.Duration {
	d := min(firstDelay<<min(n, 10), longestDelay)
	return d/2 + rand.N(d/2)
}

// newEnough reports whether a server knows the condition that Append needs.
func newEnough(version string) bool {
	parts := append(strings.SplitN(version, ".", 3), "", "")
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major > 2 || major == 2 && minor >= 11
}

// cut ends what waits for an answer: it does not come over another connection.
func (l *line) cut(forGood bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken()
	if l.closed = l.closed || forGood; !l.closed {
		l.whole, l.broken = context.WithCancel(context.Background())
	}
}

// close ends the connection for good.
func (l *line) close() {
	l.Close()
	l.cut(true)
}

// watch returns a context that ends with ctx, after d, and when the connection breaks.
// Call done when it is not needed any more.
func (l *line) watch(ctx context.Context, d time.Duration) (watched context.Context, done func()) {
	ctx, cancel := context.WithTimeout(ctx, d)
	l.mu.Lock()
	whole := l.whole
	l.mu.Unlock()
	stop := context.AfterFunc(whole, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// ask sends a message and waits for the answer. While there is no connection it waits
// for one.
func (l *line) ask(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	watched, done := l.watch(ctx, l.wait)
	defer done()
	answer, err := l.RequestMsgWithContext(watched, m)
	if err == nil {
		return answer, nil
	}
	switch {
	case ctx.Err() == nil && watched.Err() == context.Canceled:
		err = errBroken
	case watched.Err() != nil && !l.IsConnected():
		err = errNowhere
	}
	return nil, err
}
