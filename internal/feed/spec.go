package feed

import (
	"fmt"
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
	From string // URL of a server; "" for Command and File

	// How to get in.
	PasswordFile string // file that holds the password, read at each connection; "": the URL's
	CAFile       string // PEM of who signs the server's certificate; "": the system's

	// What to read there.
	Queue    string   // of AMQP; "" with an Exchange: one of the feed's own, for as long as it is connected
	Exchange string   // of AMQP, to bind the queue to; "": it is bound already
	Bindings []string // keys to bind with; none: "#"
	Channels []string // of Redis
	Patterns []string // of Redis channels
	List     string   // key in Redis
	Stream   string   // key in Redis
	Group    string   // of consumers of Stream; "": weir
	Consumer string   // name of this reader of List or Stream, which must differ among those at work at once; "": weir
	Pop      string   // end of List that is read, "left" or "right"; "": left
	Start    string   // "begin" or "end": where a File, or a Group that Declare creates, starts; "": a file at its end, a group at the begin
	Declare  bool     // create the Queue and its bindings, or the Group, if they are missing
	Prefetch int      // messages that the source may hand over before the first is acknowledged; 0: 256
	Command  string   // line for the shell
	File     string   // path
	MaxBytes int      // of a line of Command and File; 0: 1 MiB

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

const (
	AMQP        Kind = "amqp"
	RedisPubSub Kind = "redis channels"
	RedisList   Kind = "redis list"
	RedisStream Kind = "redis stream"
	Command     Kind = "command"
	File        Kind = "file"
)

// keysOf are the keys that a kind takes besides those of all kinds.
var keysOf = map[Kind][]string{
	AMQP:        {"from", "password-file", "ca-file", "queue", "exchange", "binding", "declare", "prefetch"},
	RedisPubSub: {"from", "password-file", "ca-file", "channels", "patterns", "prefetch"},
	RedisList:   {"from", "password-file", "ca-file", "list", "pop", "consumer", "prefetch"},
	RedisStream: {"from", "password-file", "ca-file", "stream", "group", "consumer", "start", "declare", "prefetch"},
	Command:     {"command"},
	File:        {"file", "start"},
}

// schemes are those of From.
var schemes = map[string]string{
	"amqp": "amqp", "amqps": "amqp",
	"redis": "redis", "rediss": "redis", "redis+unix": "redis",
}

// Kind returns the kind of source that s is about; "" if it is none.
func (s *Spec) Kind() Kind {
	scheme, _, _ := strings.Cut(s.From, ":")
	switch family := schemes[scheme]; {
	case family == "amqp":
		return AMQP
	case family == "redis" && s.List != "":
		return RedisList
	case family == "redis" && s.Stream != "":
		return RedisStream
	case family == "redis":
		return RedisPubSub
	case s.From == "" && s.Command != "":
		return Command
	case s.From == "" && s.File != "":
		return File
	}
	return ""
}

// given lists the keys, of those that not all kinds take, which have a value.
func (s *Spec) given() []string {
	var names []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"from", s.From != ""}, {"password-file", s.PasswordFile != ""}, {"ca-file", s.CAFile != ""},
		{"queue", s.Queue != ""}, {"exchange", s.Exchange != ""}, {"binding", len(s.Bindings) > 0},
		{"channels", len(s.Channels) > 0}, {"patterns", len(s.Patterns) > 0}, {"list", s.List != ""},
		{"stream", s.Stream != ""}, {"group", s.Group != ""}, {"consumer", s.Consumer != ""}, {"pop", s.Pop != ""},
		{"start", s.Start != ""}, {"declare", s.Declare}, {"prefetch", s.Prefetch != 0},
		{"command", s.Command != ""}, {"file", s.File != ""},
	} {
		if k.set {
			names = append(names, k.name)
		}
	}
	return names
}

const maxPrefetch = 65_535 // what AMQP has room for

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
		return fmt.Errorf("from has the scheme %q, want amqp, amqps, redis, rediss or redis+unix", u.Scheme)
	}
	kind := s.Kind()
	if kind == "" {
		return fmt.Errorf("has no source: add from: URL, command: LINE or file: PATH")
	}
	for _, name := range s.given() {
		if !slices.Contains(keysOf[kind], name) {
			return fmt.Errorf("%s does not go with the source, %s, which takes %s", name, kind, strings.Join(keysOf[kind], ", "))
		}
	}
	return s.checkKind(kind)
}

func (s *Spec) checkKind(kind Kind) error {
	switch {
	case kind == AMQP && s.Queue == "" && s.Exchange == "":
		return fmt.Errorf("has nothing to read: add queue: NAME, or exchange: NAME for a queue of its own")
	case kind == AMQP && s.Queue == "" && s.Declare:
		return fmt.Errorf("declare needs the name of a queue")
	case kind == AMQP && s.Queue != "" && s.Exchange != "" && !s.Declare:
		return fmt.Errorf("to bind queue to exchange needs declare: true; leave out exchange if it is bound already")
	case kind == AMQP && len(s.Bindings) > 0 && s.Exchange == "":
		return fmt.Errorf("binding needs an exchange")
	case kind == RedisPubSub && len(s.Channels)+len(s.Patterns) == 0:
		return fmt.Errorf("has nothing to read: add channels, patterns, list or stream")
	case s.Pop != "" && s.Pop != "left" && s.Pop != "right":
		return fmt.Errorf("pop is %q, want left or right", s.Pop)
	case s.Start != "" && s.Start != "begin" && s.Start != "end":
		return fmt.Errorf("start is %q, want begin or end", s.Start)
	case s.Prefetch < 0 || s.Prefetch > maxPrefetch:
		return fmt.Errorf("prefetch is %d, want 1 to %d", s.Prefetch, maxPrefetch)
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
	}
	if u, err := url.Parse(s.From); err == nil {
		return u.Redacted()
	}
	return "?"
}
