package feed

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/topic"
)

// A Spec says what a feed does: where its messages come from, and what becomes of them.
// Its fields are the keys of the settings file: see [Spec.Check] for those that a kind
// of source takes.
type Spec struct {
	Name string // of the feed: 1 to 64 letters, digits, - and _
	From string // URL of a server; "" for Command, File and Webhook

	// How to get in.
	PasswordFile string // file that holds the password, read at each connection; "": the URL's
	CAFile       string // PEM of who signs the server's certificate; "": the system's
	SecretFile   string // of a Webhook: file that holds what its requests are signed with

	// What to read there.
	Queue     string   // of AMQP; "" with an Exchange: one of the feed's own, for as long as it is connected
	Exchange  string   // of AMQP, to bind the queue to; "": it is bound already
	Bindings  []string // keys to bind with; none: "#"
	Channels  []string // of Redis
	Patterns  []string // of Redis channels
	List      string   // key in Redis
	Stream    string   // key in Redis, or stream of JetStream
	Subscribe []string // subjects of NATS, filters of MQTT, topics of Kafka
	Group     string   // of consumers of a Redis stream or of Kafka, "": weir; of subscribers of NATS, "": none
	Consumer  string   // name of this reader: see [Spec.Reader]
	QoS       string   // of MQTT: "0", "1" or "2"; "": 1
	Table     string   // of PostgreSQL, as in SQL, with or without a schema
	Notify    string   // channel of PostgreSQL on which a NOTIFY tells that Table has got rows; "": the name of the table without its schema
	Pop       string   // end of List that is read, "left" or "right"; "": left
	Start     string   // "begin" or "end": where a File, or a group or consumer that is new, starts; "": a file at its end, others at the begin
	Declare   bool     // create what is read, if it is missing
	Prefetch  int      // messages that the source may hand over before the first is acknowledged; 0: 256
	Command   string   // line for the shell
	File      string   // path
	Webhook   string   // how requests are signed: a [Scheme]
	MaxBytes  int      // of a line of Command and File, of a body of Webhook; 0: 1 MiB

	// What becomes of a message: see [Template].
	Topic string
	Type  string
	Key   string
	ID    string // event ID; "": its position
	Data  string // "": the body
	Once  string // by what a message is known that was delivered twice; "": the source's own name for it
	State bool   // a message is the value of its key

	DeadLetter string // topic of what can never be published; "": it is dropped
}

// A Kind is a kind of source.
type Kind string

// Kinds of sources.
const (
	AMQP        Kind = "amqp"
	RedisPubSub Kind = "redis channels"
	RedisList   Kind = "redis list"
	RedisStream Kind = "redis stream"
	NATS        Kind = "nats subjects"
	JetStream   Kind = "nats stream"
	MQTT        Kind = "mqtt"
	PostgreSQL  Kind = "postgres"
	Kafka       Kind = "kafka"
	Command     Kind = "command"
	File        Kind = "file"
	Webhook     Kind = "webhook"
)

// keysOf are the keys that a kind takes besides those of all kinds.
var keysOf = map[Kind][]string{
	AMQP:        {"from", "password-file", "ca-file", "queue", "exchange", "binding", "declare", "prefetch"},
	RedisPubSub: {"from", "password-file", "ca-file", "channels", "patterns", "prefetch"},
	RedisList:   {"from", "password-file", "ca-file", "list", "pop", "consumer", "prefetch"},
	RedisStream: {"from", "password-file", "ca-file", "stream", "group", "consumer", "start", "declare", "prefetch"},
	NATS:        {"from", "password-file", "ca-file", "subscribe", "group", "prefetch"},
	JetStream:   {"from", "password-file", "ca-file", "stream", "subscribe", "consumer", "start", "declare", "prefetch"},
	MQTT:        {"from", "password-file", "ca-file", "subscribe", "consumer", "qos", "prefetch"},
	PostgreSQL:  {"from", "password-file", "ca-file", "table", "notify", "declare", "prefetch"},
	Kafka:       {"from", "password-file", "ca-file", "subscribe", "group", "start", "prefetch"},
	Command:     {"command"},
	File:        {"file", "start"},
	Webhook:     {"webhook", "secret-file"},
}

// schemes are those of From.
var schemes = map[string]string{
	"amqp": "amqp", "amqps": "amqp",
	"redis": "redis", "rediss": "redis", "redis+unix": "redis",
	"nats": "nats", "nats+tls": "nats",
	"mqtt": "mqtt", "mqtts": "mqtt",
	"postgres": "postgres", "postgresql": "postgres",
	"kafka": "kafka", "kafka+tls": "kafka",
}

// Kind returns the kind of source that s is about; "" if it is none.
func (s *Spec) Kind() Kind {
	if s.From == "" {
		return s.local()
	}
	scheme, _, _ := strings.Cut(s.From, ":")
	switch family := schemes[scheme]; {
	case family == "redis" && s.List != "":
		return RedisList
	case family == "redis" && s.Stream != "":
		return RedisStream
	case family == "redis":
		return RedisPubSub
	case family == "nats" && s.Stream != "":
		return JetStream
	case family == "nats":
		return NATS
	default:
		return Kind(family)
	}
}

// local is the kind of a source that is no server.
func (s *Spec) local() Kind {
	switch {
	case s.Command != "":
		return Command
	case s.File != "":
		return File
	case s.Webhook != "":
		return Webhook
	}
	return ""
}

// A Field is one of a Spec by its key in the settings file.
type Field struct {
	Key   string
	Value any // *string, *[]string, *bool or *int
}

// Fields returns the fields of s but Name and MaxBytes.
func (s *Spec) Fields() []Field { return append(s.sourceFields(), s.messageFields()...) }

// sourceFields are those that not all kinds of source take.
func (s *Spec) sourceFields() []Field {
	return []Field{
		{"from", &s.From}, {"password-file", &s.PasswordFile}, {"ca-file", &s.CAFile}, {"secret-file", &s.SecretFile},
		{"queue", &s.Queue}, {"exchange", &s.Exchange}, {"binding", &s.Bindings},
		{"channels", &s.Channels}, {"patterns", &s.Patterns}, {"list", &s.List}, {"pop", &s.Pop},
		{"stream", &s.Stream}, {"subscribe", &s.Subscribe}, {"group", &s.Group}, {"consumer", &s.Consumer}, {"qos", &s.QoS},
		{"table", &s.Table}, {"notify", &s.Notify}, {"start", &s.Start}, {"declare", &s.Declare}, {"prefetch", &s.Prefetch},
		{"command", &s.Command}, {"file", &s.File}, {"webhook", &s.Webhook},
	}
}

func (s *Spec) messageFields() []Field {
	return []Field{
		{"topic", &s.Topic}, {"type", &s.Type}, {"key", &s.Key}, {"id", &s.ID}, {"data", &s.Data},
		{"once", &s.Once}, {"state", &s.State}, {"dead-letter", &s.DeadLetter},
	}
}

// isSet reports whether a field has a value.
func (f *Field) isSet() bool {
	switch v := f.Value.(type) {
	case *string:
		return *v != ""
	case *[]string:
		return len(*v) > 0
	case *bool:
		return *v
	case *int:
		return *v != 0
	}
	return false
}

// Reader returns the name by which the source knows this reader: of a Redis list or
// stream, consumer of JetStream, client of MQTT. Readers that are at work at once must
// differ, but for those of JetStream, which share what one name gets.
func (s *Spec) Reader() string {
	if s.Consumer != "" {
		return s.Consumer
	}
	switch s.Kind() {
	case RedisList, RedisStream:
		return "weir"
	}
	return "weir-" + s.Name
}

const maxPrefetch = 65_535 // what AMQP has room for

const maxNotify = 63 // bytes of a name in PostgreSQL

var feedName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Check reports what is wrong with s, in terms of the keys of the settings file, or
// returns nil. It does not quote From, which may hold a password.
func (s *Spec) Check() error {
	if !feedName.MatchString(s.Name) {
		return fmt.Errorf("%q is not a name: want 1 to 64 letters, digits, - and _", s.Name)
	}
	if err := s.checkSource(); err != nil {
		return err
	}
	if s.Topic == "" {
		return fmt.Errorf("has no topic: add topic: TEMPLATE, such as orders/{key}")
	}
	if s.DeadLetter != "" {
		if err := topic.Check(s.DeadLetter); err != nil {
			return fmt.Errorf("dead-letter: %w", err)
		}
		if reserved(s.DeadLetter) {
			return fmt.Errorf("dead-letter: %w", errReserved)
		}
	}
	_, err := newMaker(s, false)
	return err
}

func (s *Spec) checkSource() error {
	u, err := url.Parse(s.From)
	if err != nil {
		return fmt.Errorf("from is not a URL")
	}
	if s.From != "" && schemes[u.Scheme] == "" {
		return fmt.Errorf("from has the scheme %q, want one of %s", u.Scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), ", "))
	}
	kind := s.Kind()
	if kind == "" {
		return fmt.Errorf("has no source: add from: URL, command: LINE, file: PATH or webhook: SCHEME")
	}
	for _, f := range s.sourceFields() {
		if f.isSet() && !slices.Contains(keysOf[kind], f.Key) {
			return fmt.Errorf("%s does not go with the source, %s, which takes %s", f.Key, kind, strings.Join(keysOf[kind], ", "))
		}
	}
	return s.checkKind(kind)
}

func (s *Spec) checkKind(kind Kind) error {
	switch {
	case s.Pop != "" && s.Pop != "left" && s.Pop != "right":
		return fmt.Errorf("pop is %q, want left or right", s.Pop)
	case s.Start != "" && s.Start != "begin" && s.Start != "end":
		return fmt.Errorf("start is %q, want begin or end", s.Start)
	case s.QoS != "" && s.QoS != "0" && s.QoS != "1" && s.QoS != "2":
		return fmt.Errorf("qos is %q, want 0, 1 or 2", s.QoS)
	case s.Prefetch < 0 || s.Prefetch > maxPrefetch:
		return fmt.Errorf("prefetch is %d, want 1 to %d", s.Prefetch, maxPrefetch)
	}
	switch kind {
	case AMQP:
		return s.checkAMQP()
	case MQTT:
		return s.checkMQTT()
	case Webhook:
		return s.checkWebhook()
	}
	return s.checkRead(kind)
}

func (s *Spec) checkAMQP() error {
	switch {
	case s.Queue == "" && s.Exchange == "":
		return fmt.Errorf("has nothing to read: add queue: NAME, or exchange: NAME for a queue of its own")
	case s.Queue == "" && s.Declare:
		return fmt.Errorf("declare needs the name of a queue")
	case s.Queue != "" && s.Exchange != "" && !s.Declare:
		return fmt.Errorf("to bind queue to exchange needs declare: true; leave out exchange if it is bound already")
	case len(s.Bindings) > 0 && s.Exchange == "":
		return fmt.Errorf("binding needs an exchange")
	}
	return nil
}

// checkRead reports if nothing says what to read.
func (s *Spec) checkRead(kind Kind) error {
	switch {
	case kind == RedisPubSub && len(s.Channels)+len(s.Patterns) == 0:
		return fmt.Errorf("has nothing to read: add channels, patterns, list or stream")
	case kind == NATS && len(s.Subscribe) == 0:
		return fmt.Errorf("has nothing to read: add subscribe: [SUBJECT, ...], or stream: NAME for JetStream")
	case kind == JetStream && s.Declare && len(s.Subscribe) == 0:
		return fmt.Errorf("declare needs the subjects of the stream: add subscribe: [SUBJECT, ...]")
	case kind == Kafka && len(s.Subscribe) == 0:
		return fmt.Errorf("has nothing to read: add subscribe: [TOPIC, ...]")
	case kind == PostgreSQL && s.Table == "":
		return fmt.Errorf("has nothing to read: add table: NAME")
	case len(s.Notify) > maxNotify:
		return fmt.Errorf("notify has %d bytes, limit %d", len(s.Notify), maxNotify)
	}
	return nil
}

// String is From without its password, or what else the messages come from.
func (s *Spec) String() string {
	switch s.Kind() {
	case Command:
		return "command " + s.Command
	case File:
		return "file " + s.File
	case Webhook:
		return "webhook " + s.Webhook
	}
	u, err := url.Parse(s.From)
	if err != nil {
		return "?"
	}
	if _, isSet := u.User.Password(); !isSet && u.User != nil && schemes[u.Scheme] == "nats" {
		u.User = url.User("xxxxx") // it is a token
	}
	return u.Redacted()
}
