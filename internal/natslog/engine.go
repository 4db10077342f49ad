// Package natslog lets [sharedlog.Log] keep its list in a stream of NATS JetStream, on
// one server or on a cluster.
//
// [Connect] returns the engine. A record is acknowledged when the server has written it
// to its file, or in a cluster when most of the stream's replicas have. That is safe
// when the program is killed. It is safe when a machine loses its power if another one
// with the record does not, or if the server has sync_interval set to always: otherwise
// it tells the disk every two minutes only. Package sharedlog notices what was lost, and
// puts it back or tells readers.
//
// In a cluster the leader of the stream decides about appends, together with a majority,
// so that no two records ever have one place: that alone is linearizable. The leader
// answers Head and Load without asking the others. One that was cut off from them does
// not know it at once, so its answers count only if it has heard from most of them
// within three seconds; in that time they may be from the past. Then a node waits too
// short in Sync, or tries to store something that is refused. Next reads from any
// replica, which may be late.
//
// For a log with the name NAME a user must be allowed to publish to
//
//	weir.NAME.>
//	$JS.API.STREAM.*.WEIR_NAME
//	$JS.API.STREAM.MSG.*.WEIR_NAME
//	$JS.API.CONSUMER.CREATE.WEIR_NAME
//	$JS.API.CONSUMER.CREATE.WEIR_NAME.*
//	$JS.API.CONSUMER.MSG.NEXT.WEIR_NAME.*
//
// and to subscribe to weir.NAME._turn and _INBOX.>. Without that _turn all works but
// [Engine.Claim]. Dots of NAME are = in all of these.
package natslog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

const (
	atOnce = 16 // requests of one call that wait for their answers together

	// What max_payload must have room for beside the data of one message: its topics,
	// headers, and small messages that are stored together with it.
	besides = 256 << 10
	// Parts of checkpoints are as large as this.
	smallest = 256 << 10
	// Headers of a record, and what its file has beside it, are shorter.
	overhead = 512
)

// Metadata of the stream.
const (
	epochKey    = "weir-epoch"
	settingsKey = "weir-settings"
)

// An Engine is a connection to a server. It implements [sharedlog.Engine].
//
// The list is a stream. The record at a position is the message with that sequence. Its
// subject ends with the epoch and the record's tag, so that the server can be told both
// that its newest message must be the one at a position, and that the one with a tag
// must be there. Epoch and settings are metadata of the stream, and come and go with it.
type Engine struct {
	line     *line
	stream   string // its name
	prefix   string // of subjects
	replicas int
	maxBytes int64
	room     room
	logger   *slog.Logger
	turn     *turn

	reading chan struct{} // capacity 1: full while Next has the tail
	tail    *tail
}

// Options configure a connection. Zero fields take the defaults stated.
type Options struct {
	URL      string        // see Connect
	Name     string        // of the log, one of several on a server: letters, digits and -._; "": "weir"
	Wait     time.Duration // for an answer; 0: 5 s
	Replicas int           // of a stream that is made, if the URL does not say; 0: 1
	Logger   *slog.Logger  // nil: none
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (o Options) withDefaults() (Options, error) {
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.Name = cmp.Or(o.Name, "weir")
	o.Replicas = cmp.Or(o.Replicas, 1)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if !goodName.MatchString(o.Name) {
		return o, fmt.Errorf("natslog: name is %q, want 1 to 64 letters, digits and -._", o.Name)
	}
	return o, nil
}

// Connect connects to the server at a URL:
//
//	nats://user:password@host:port,host:port     servers of one cluster; or a token for the user
//	tls://host:port                              the same over TLS; nats+tls means this, too
//
// All parts but one host are optional. Parameters are creds=FILE with credentials,
// ca=FILE with the authority for TLS and skip_verify=true for none, and, for a stream
// that is made, replicas=N and max_bytes=N.
//
// It logs a warning if settings of the stream may cost messages.
func Connect(ctx context.Context, o Options) (*Engine, error) {
	p, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	token := strings.ReplaceAll(o.Name, ".", "=") // names of streams have no dots, and no log has =
	e := &Engine{
		stream: "WEIR_" + token, prefix: "weir." + token + ".", logger: o.Logger, turn: newTurn(), reading: make(chan struct{}, 1),
		replicas: cmp.Or(p.replicas, o.Replicas), maxBytes: cmp.Or(p.maxBytes, -1),
	}
	if e.line, err = dial(ctx, p, o.Wait, o.Logger); err != nil {
		return nil, err
	}
	if err = e.check(ctx); err == nil {
		err = e.listen()
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// check looks whether the server, and the stream if there is one, will do.
func (e *Engine) check(ctx context.Context) error {
	if limit := e.line.MaxPayload(); limit < smallest+besides {
		return fmt.Errorf("natslog: max_payload of the NATS server is %d bytes, want %d or more", limit, smallest+besides)
	}
	info, err := e.info(ctx)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return errors.New("natslog: the NATS server does not have JetStream, or this user may not use it")
	case err == nil && info != nil:
		e.warn(&info.Config)
	}
	return err
}

// warn looks for settings that may cost messages.
func (e *Engine) warn(c *jetstream.StreamConfig) {
	for _, bad := range []struct {
		is   bool
		text string
	}{
		{c.Storage != jetstream.FileStorage, "the stream of the log is in memory only: when NATS is restarted, all messages are lost"},
		{c.Discard != jetstream.DiscardNew && (c.MaxBytes > 0 || c.MaxMsgs > 0), "the stream of the log drops its oldest messages when it is full: set discard to new"},
		{c.MaxAge > 0 || c.MaxMsgsPerSubject > 0 || c.Retention != jetstream.LimitsPolicy, "NATS deletes messages of the log: its stream should have no max_age, no max_msgs_per_subject and the retention limits"},
		{c.Replicas < e.replicas, fmt.Sprintf("the stream of the log has %d replicas, the settings say %d: change it with nats stream edit %s", c.Replicas, e.replicas, e.stream)},
	} {
		if bad.is {
			e.logger.Warn(bad.text, "stream", e.stream)
		}
	}
}

// MaxMessage returns how many bytes of data one message may have. Settings of the server
// decide, which it may change.
func (e *Engine) MaxMessage() int64 { return e.line.MaxPayload() - besides }

// MaxRecord implements [sharedlog.Limiter].
func (e *Engine) MaxRecord() int { return int(e.line.MaxPayload()) - overhead }

// Head implements [sharedlog.Engine].
func (e *Engine) Head(ctx context.Context) (h sharedlog.Head, err error) {
	for {
		before := h.Pos
		info, err := e.info(ctx)
		if err != nil || info == nil {
			return sharedlog.Head{}, err
		}
		h.Epoch, h.Settings, h.Pos = info.Config.Metadata[epochKey], info.Config.Metadata[settingsKey], info.State.LastSeq
		if h.Epoch == "" {
			return h, fmt.Errorf("natslog: stream %s is not of weir: it has no %s in its metadata", e.stream, epochKey)
		}
		if h.Pos == 0 {
			return h, nil
		}
		m, err := e.message(ctx, h.Pos)
		if err != nil {
			return h, err
		}
		if m != nil {
			h.Tag = m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
			return h, nil
		}
		if h.Pos == before { // it is gone, and nobody has added another
			return h, nil
		}
	}
}

// Create implements [sharedlog.Engine].
func (e *Engine) Create(ctx context.Context, epoch, settings string) error {
	config := jetstream.StreamConfig{
		Name: e.stream, Subjects: []string{e.prefix + epoch + ".*"}, Description: "log of weir: do not publish here",
		Storage: jetstream.FileStorage, Replicas: e.replicas, Discard: jetstream.DiscardNew,
		MaxBytes: e.maxBytes, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Duplicates: 100 * time.Millisecond, // the least; records have no IDs
		Metadata:   map[string]string{epochKey: epoch, settingsKey: settings},
	}
	err := e.api(ctx, "STREAM.CREATE."+e.stream, config, nil)
	if code(err) == jetstream.JSErrCodeStreamNameInUse { // it has another epoch at least
		return nil
	}
	return err
}

// Append implements [sharedlog.Engine].
func (e *Engine) Append(ctx context.Context, epoch string, after sharedlog.Mark, tag string, record []byte, frees bool) ([]sharedlog.Record, error) {
	if !frees && !e.fits(ctx, len(record)) {
		return nil, fmt.Errorf("%w: the stream has max_bytes %d, of which a part is for cleaning up", eventlog.ErrFull, e.room.limit.Load())
	}
	own, err := e.turn.await(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: another node's turn: %v", sharedlog.ErrRefused, err)
	}
	m := e.conditional(epoch, after, tag)
	m.Data = record
	if own {
		m.Header[turnHeader] = []string{e.turn.self}
	}
	pos, err := e.store(ctx, m)
	if err != nil {
		return nil, err
	}
	if pos != after.Pos+1 {
		return nil, fmt.Errorf("natslog: record %d was stored as %d", after.Pos+1, pos)
	}
	e.room.add(pos, len(record))
	e.turn.end(e.turn.self)
	return nil, nil
}

// store sends a message to the stream, and returns its sequence.
func (e *Engine) store(ctx context.Context, m *nats.Msg) (uint64, error) {
	answer, err := e.line.ask(ctx, m)
	if err != nil {
		return 0, e.unsent(err, len(m.Data))
	}
	var ack struct {
		problem
		Sequence uint64 `json:"seq"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("natslog: answer to an append: %w", err)
	}
	if err := ack.err(); err != nil {
		return 0, refusal(err)
	}
	return ack.Sequence, nil
}

// conditional returns a message that is stored only after one record. A sequence alone
// could be that of another record, after the server has lost some.
func (e *Engine) conditional(epoch string, after sharedlog.Mark, tag string) *nats.Msg {
	subject, pos := e.prefix+epoch+".", []string{decimal(after.Pos)}
	m := &nats.Msg{Subject: subject + tag, Header: nats.Header{jetstream.ExpectedLastSeqHeader: pos}}
	if after.Tag != "" {
		m.Header[jetstream.ExpectedLastSubjSeqHeader] = pos
		m.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{subject + after.Tag}
	}
	return m
}

// unsent says of an error without an answer what is known.
func (e *Engine) unsent(err error, bytes int) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: the stream has no leader, or is not there", sharedlog.ErrRefused)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: the record has %d bytes, max_payload of the NATS server is %d", sharedlog.ErrRefused, bytes, e.line.MaxPayload())
	}
	return fmt.Errorf("natslog: append: %w", err)
}

// Codes of answers that mean that nothing was stored. Others may leave that open: in a
// cluster each replica stores for itself.
const (
	accountFull   jetstream.ErrorCode = 10002
	serverFull    jetstream.ErrorCode = 10023
	memoryFull    jetstream.ErrorCode = 10028
	diskFull      jetstream.ErrorCode = 10047
	streamFull    jetstream.ErrorCode = 10077 // or something else that its text says
	noSequence    jetstream.ErrorCode = 10043
	deleteFailed  jetstream.ErrorCode = 10057
	consumerThere jetstream.ErrorCode = 10148
)

// refusal says of an error that the server has answered what is known.
func refusal(err error) error {
	switch code(err) {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return sharedlog.ErrConflict // who has added a record was read from the tail, or is about to be
	case accountFull, serverFull, memoryFull, diskFull:
		return fmt.Errorf("%w: NATS: %v", eventlog.ErrFull, err)
	case streamFull:
		if strings.Contains(err.Error(), "maximum") {
			return fmt.Errorf("%w: NATS: %v", eventlog.ErrFull, err)
		}
	}
	return err
}

// Load implements [sharedlog.Engine].
func (e *Engine) Load(ctx context.Context, positions []uint64) ([][]byte, error) {
	data := make([][]byte, len(positions))
	return data, each(len(positions), func(i int) (err error) {
		data[i], err = e.load(ctx, positions[i])
		return err
	})
}

// Lease implements [sharedlog.Engine]. The lease is a consumer that nobody uses, which
// the server deletes after some time. It cannot be made by two.
func (e *Engine) Lease(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
	const name = "cleaner"
	err := e.api(ctx, "CONSUMER.CREATE."+e.stream+"."+name, consumerRequest{
		Stream: e.stream, Action: "create",
		Config: jetstream.ConsumerConfig{
			Name: name, Description: holder, InactiveThreshold: ttl,
			AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverNewPolicy, MemoryStorage: true, Replicas: 1,
		},
	}, nil)
	if code(err) == consumerThere {
		return false, nil
	}
	return err == nil, err
}

// Close implements [sharedlog.Engine].
func (e *Engine) Close() { e.line.close() }
