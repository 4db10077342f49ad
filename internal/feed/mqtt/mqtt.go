// Package mqtt feeds the messages of MQTT topics.
//
// [New] makes the source, a client of an MQTT 5 server. What was sent with QoS 1 or 2 is
// acknowledged after it is in the log, so it arrives at least once. MQTT has no name for
// a message that comes again; the user property message-id is one, and a message that
// has it arrives exactly once. With QoS 2 nothing comes again but what was under way
// when weir was killed. The server hands over no more than Prefetch messages that are
// not acknowledged, each as large as it may be there.
//
// The server keeps a session under the name of [feed.Spec.Reader]: the filters, and the
// messages for them while the feed is away, for an hour and as many as the server likes.
// With QoS 0 it keeps none, and those that it sends faster than the log takes them may be
// lost.
package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch = 256
	defaultQoS      = 1
	answerTimeout   = 10 * time.Second // for a connection, and for each answer
	closeTimeout    = 3 * time.Second  // for the server to close the connection
	keepAlive       = 15 * time.Second // after which a silent server is asked; it has as long to answer
	sessionExpiry   = time.Hour        // for which the server keeps the session of a feed that is away
)

// ports are those of a URL without one.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883"}

// A Source subscribes to filters.
type Source struct {
	spec  feed.Spec
	url   *url.URL
	qos   byte
	state *state.State // what the server may send again with QoS 2 though it is in the log
}

// New makes a source. s must have passed its Check.
func New(s feed.Spec) (*Source, error) {
	u, err := url.Parse(s.From)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/")+u.RawQuery != "" {
		return nil, errors.New("from: want mqtt://HOST or mqtts://USER:PASSWORD@HOST:PORT, and nothing after it")
	}
	source := &Source{spec: s, url: u, qos: defaultQoS, state: state.NewInMemory()}
	if s.QoS != "" {
		source.qos = s.QoS[0] - '0'
	}
	return source, nil
}

// Run subscribes, and delivers until the connection is lost, or ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	open, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.spec.String(), err)
	}
	defer context.AfterFunc(in.Grace(), func() { conn.Close() })()
	c := s.consume(in, conn, lost)
	resumed, err := s.connect(ctx, c.client)
	if err != nil {
		conn.Close()
		return fmt.Errorf("connect to %s: %w", s.spec.String(), err)
	}
	return c.run(ctx, open, resumed)
}

func (s *Source) prefetch() int { return cmp.Or(s.spec.Prefetch, defaultPrefetch) }

// dial connects, without a word of MQTT.
func (s *Source) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	addr := net.JoinHostPort(s.url.Hostname(), cmp.Or(s.url.Port(), ports[s.url.Scheme]))
	if s.url.Scheme != "mqtts" {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	config, err := s.spec.TLS()
	if err != nil {
		return nil, err
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(conn), nil // a packet is written in pieces
}

// connect opens the session, and reports whether the server still had it.
func (s *Source) connect(ctx context.Context, client *paho.Client) (resumed bool, err error) {
	password, err := s.password()
	if err != nil {
		return false, err
	}
	expiry, prefetch := uint32(sessionExpiry/time.Second), uint16(s.prefetch())
	answer, err := client.Connect(ctx, &paho.Connect{
		ClientID: s.spec.Reader(), KeepAlive: uint16(keepAlive / time.Second),
		Username: s.url.User.Username(), UsernameFlag: s.url.User != nil,
		Password: password, PasswordFlag: password != nil,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry, ReceiveMaximum: &prefetch, RequestProblemInfo: true},
	})
	switch {
	case answer != nil && answer.ReasonCode != 0:
		return false, refusal((&packets.Connack{ReasonCode: answer.ReasonCode}).Reason(), answer.ReasonCode, answer.Properties.ReasonString)
	case errors.Is(err, context.DeadlineExceeded):
		return false, fmt.Errorf("no answer within %v", answerTimeout)
	case err != nil:
		return false, fmt.Errorf("%w: it may not speak MQTT 5", err)
	}
	return answer.SessionPresent, nil
}

// password is nil if there is none.
func (s *Source) password() ([]byte, error) {
	given, isGiven := s.url.User.Password()
	if !isGiven && s.spec.PasswordFile == "" {
		return nil, nil
	}
	password, err := s.spec.Password(given)
	return []byte(password), err
}

// refusal is an error that the server gives a reason for, by the code of the standard,
// the standard's text for that, and the server's own words, if it has any.
func refusal(standard string, code byte, own string) error {
	text, _, _ := strings.Cut(standard, " - ")
	if text = strings.ToLower(text); text == "" {
		text = fmt.Sprintf("reason code 0x%02x", code)
	}
	if own != "" {
		text += fmt.Sprintf(" (%.200q)", own)
	}
	return errors.New(text)
}
