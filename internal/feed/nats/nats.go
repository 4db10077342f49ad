// Package nats feeds what NATS passes on: the messages of subjects, or of a stream of
// JetStream.
//
// [New] makes the source; which of the two it is, the Spec says.
//
//   - Subjects: at most once. NATS keeps nothing, so what is sent while the feed is not
//     connected is lost. While the log refuses, nothing is read from the connection; the
//     server drops a client that is as slow as that for long, with what it has for it.
//   - Stream: exactly once. A durable pull consumer named [feed.Spec.Reader] hands over
//     no more than Prefetch messages that are not acknowledged, and messages are
//     acknowledged after they are in the log. What comes again is known by the header
//     Nats-Msg-Id that its sender has set, or else by its place in the stream.
//
// The consumer is made, and changed to what the Spec says. The stream is made only if
// Declare is set; it then keeps each message until all its consumers have acknowledged
// it, on the disk.
package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch = 256
	answerTimeout   = 4 * time.Second // for a connection, for each answer, and for a write
	pingEvery       = 10 * time.Second
	maxPings        = 2 // that may be without an answer
)

// A Source subscribes to subjects, or reads a stream.
type Source struct {
	spec     feed.Spec
	servers  []string // URLs without user
	secure   bool     // not without TLS
	user     *url.Userinfo
	prefetch int
	ackWait  time.Duration // after which the server delivers again what is not acknowledged
}

// New makes a source. s must have passed its Check.
func New(s feed.Spec) (*Source, error) {
	u, err := url.Parse(s.From)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("from: want nats://HOST, nats+tls://USER:PASSWORD@HOST:PORT?addr=HOST:PORT or nats://TOKEN@HOST")
	}
	if err := disjoint(s.Subscribe); err != nil {
		return nil, err
	}
	source := &Source{
		spec: s, user: u.User, secure: u.Scheme == "nats+tls" || s.CAFile != "",
		prefetch: cmp.Or(s.Prefetch, defaultPrefetch), ackWait: ackWait,
	}
	hosts := []string{u.Host}
	for name, values := range u.Query() {
		if name != "addr" {
			return nil, fmt.Errorf("from: %q is not known after ?, only addr=HOST:PORT, which is another server", name)
		}
		hosts = append(hosts, values...)
	}
	for _, host := range hosts {
		source.servers = append(source.servers, "nats://"+host)
	}
	return source, nil
}

// disjoint reports subjects of which one message may match two: it would arrive twice.
func disjoint(subjects []string) error {
	for i, a := range subjects {
		for _, b := range subjects[:i] {
			if overlap(strings.Split(a, "."), strings.Split(b, ".")) {
				return fmt.Errorf("subscribe: %q and %q overlap", b, a)
			}
		}
	}
	return nil
}

func overlap(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != b[i] && a[i] != "*" && b[i] != "*":
			return false
		}
	}
	return len(a) == len(b)
}

// Run reads until the connection is lost, or ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	open, fail := context.WithCancelCause(ctx) // ends with the connection, too
	defer fail(nil)
	if s.spec.Kind() == feed.JetStream {
		conn, err := s.connect(ctx, in, nil, fail)
		if err != nil {
			return err
		}
		defer conn.Close()
		return s.stream(ctx, open, in, conn, fail)
	}
	waiting := newQueue(s.prefetch)
	conn, err := s.connect(ctx, in, waiting, fail)
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.subjects(ctx, open, in, conn, waiting)
}

// connect connects. Nothing is read from the connection while waiting is full. When the
// connection is lost, or the server refuses something, fail is called. It does not
// connect again: Run is.
func (s *Source) connect(ctx context.Context, in *feed.Intake, waiting *queue, fail context.CancelCauseFunc) (*nats.Conn, error) {
	o, d := nats.GetDefaultOptions(), &dialer{ctx: ctx, grace: in.Grace(), waiting: waiting}
	o.Servers, o.Name, o.CustomDialer = s.servers, "weir feed "+in.Name(), d
	o.AllowReconnect, o.SkipHostLookup, o.IgnoreDiscoveredServers = false, true, true
	o.Timeout, o.FlusherTimeout, o.PingInterval, o.MaxPingsOut = answerTimeout, answerTimeout, pingEvery, maxPings
	o.ClosedCB = func(c *nats.Conn) {
		fail(fmt.Errorf("connection lost: %w", cmp.Or(c.LastError(), nats.ErrConnectionClosed)))
	}
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrBadHeaderMsg) { // the message is delivered, without headers
			in.Debug("a message has headers that cannot be read")
			return
		}
		fail(err)
	}
	err := s.secret(&o)
	if err == nil {
		o.Secure = s.secure
		o.TLSConfig, err = s.spec.TLS()
	}
	if err != nil {
		return nil, err
	}
	conn, err := o.Connect()
	if errors.Is(err, nats.ErrNoServers) {
		err = cmp.Or(d.err, err) // which says more
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.spec.String(), err)
	}
	return conn, nil
}

// credentials is how a file begins that nsc has made.
const credentials = "-----BEGIN NATS USER JWT-----"

// secret sets who the feed is.
func (s *Source) secret(o *nats.Options) error {
	password, isSet := s.user.Password()
	user := s.user.Username()
	if s.spec.PasswordFile != "" {
		var err error
		if password, err = s.spec.Password(""); err != nil {
			return err
		}
		if strings.HasPrefix(strings.TrimSpace(password), credentials) {
			return nats.UserCredentialBytes([]byte(password))(o)
		}
		isSet = true
	}
	switch {
	case user == "":
		o.Token = password
	case isSet:
		o.User, o.Password = user, password
	default:
		o.Token = user
	}
	return nil
}

// headers are those of a message; one that stands several times is one text.
func headers(h nats.Header) map[string]string {
	if len(h) == 0 {
		return nil
	}
	m := make(map[string]string, len(h))
	for name, values := range h {
		m[name] = strings.Join(values, ", ")
	}
	return m
}
