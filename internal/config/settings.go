// Package config holds every setting of the server in one table.
//
// [Load] is the function to start with: it reads a YAML file, the WEIR_…
// variables and the flags, and returns [Settings] together with the origin of
// each value. A setting is declared once, in table.go: its name, default, limits
// and meaning. The flag --hub.max-message, the variable WEIR_HUB_MAX_MESSAGE, the
// file key hub.max-message, the help text, docs/settings.md and the commented
// file of [Template] all derive from that line.
//
// A flag overrides a variable, a variable the file, the file the default. Every
// value that was given is checked, also one that is overridden.
//
// The package has no state; all functions may be called at once.
package config

import (
	"io/fs"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/webhook"
)

// Settings are the values the server starts with. They are plain data: the
// package that builds the server hands them to its parts.
type Settings struct {
	Listen     []Listener
	Open       bool        // anybody may do anything, also from other machines
	SocketMode fs.FileMode // permissions of unix sockets; 0: as the umask leaves them
	Page       bool        // serve the page and its demos
	Metrics    bool        // serve figures for Prometheus

	Stream   Stream
	Hub      Hub
	History  History
	Data     string // directory of the log; "": in memory only
	Disk     Disk
	Nodes    Nodes
	Feeds    []feed.Spec    // what other systems publish
	Webhooks []webhook.Spec // who is told what happens
	Presence Presence
	HTTP     HTTP
	CORS     CORS
	Access   Access
	Limits   Limits
	TLS      TLS
	Proxy    Proxy
	Trace    Trace
	Durable  Durable
	Drain    Drain
	Log      Log
}

// Stream holds what concerns one open response.
type Stream struct {
	Heartbeat   time.Duration // silence before a comment line is sent; 0: never
	Retry       time.Duration // reconnection time told to readers, before jitter
	MaxAge      time.Duration // age at which a stream is ended, before jitter; 0: never
	Buffer      int64         // bytes one connection may have waiting
	UserTimeout time.Duration // unacknowledged data older than this ends a connection; 0: the system's default
}

// Hub holds what concerns topics and their readers.
type Hub struct {
	MaxMessage         int64  // bytes of data in one message
	MaxTopicsPerReader int    // topics and patterns in one subscription
	Policy             string // "all", "diff" or "reset": what follows a gap
	Slow               string // "catch-up", "latest" or "close": what happens to a reader that falls behind
}

// History says how much is kept. In all of it a zero does not limit, and
// negative MaxMessages keeps nothing.
type History struct {
	MaxMessages int           // per topic
	MaxAge      time.Duration // per topic
	MaxBytes    int64         // per topic, of data
	TotalBytes  int64         // of the whole log; 0: 256 MiB in memory, 8 GiB on disk
	MaxTopics   int           // known at once
	Topics      []TopicRule   // the first rule that matches a topic replaces the first three values

	IdempotencyWindow time.Duration // for which idempotency keys are remembered
	IdempotencyKeys   int           // remembered at most
}

// A TopicRule is the retention of the topics that match a pattern. Values the
// file leaves out are those of [History].
type TopicRule struct {
	Topic       string // name or pattern
	MaxMessages int
	MaxAge      time.Duration
	MaxBytes    int64
	Durability  string // as in [Disk]
	Policy      string // as in [Hub], for readers whose first topic this is
}

// Disk says how a log on disk works.
type Disk struct {
	Durability string        // "always", "interval" or "memory": what must have happened before a message is acknowledged
	Interval   time.Duration // within which "interval" is on the disk
	Memory     int64         // bytes of the newest messages that stay in memory
}

// Nodes concerns a log that several servers share.
type Nodes struct {
	Log  string        // URL of what keeps it; "": the log is this server's own
	Name string        // of the log, one of several there
	Wait time.Duration // for an answer, before publishing is refused
}

// Presence says of which topics it is known who reads them.
type Presence struct {
	Topics []string      // patterns; none: of no topic
	Grace  time.Duration // until somebody who has gone is told to have left
	Users  int           // known at once, counted for each topic
}

// Place returns the URL of what keeps the log, without what is secret in it.
func (n *Nodes) Place() string { return withoutPassword(n.Log) }

// HTTP bounds what a client may do before its request is understood.
type HTTP struct {
	HeaderTimeout time.Duration // for the head of a request to arrive
	BodyTimeout   time.Duration // for a body, or a line of it, to arrive; 0: no limit
	IdleTimeout   time.Duration // between two requests on a connection
	MaxHeader     int64         // bytes in the head of a request
	H2C           bool          // HTTP/2 also without TLS
	MaxStreams    int           // requests open at once on one HTTP/2 connection
	Buffering     bool          // leave out the header that asks proxies not to buffer
}

// Access says who may do what. It is on once anything says how to find out.
type Access struct {
	Secret        string // of tokens signed with HMAC; never shown
	SecretFile    string
	PublicKeyFile string // PEM
	JWKS          string // URL of a JWK set
	Issuer        string
	Audience      []string
	Leeway        time.Duration
	APIKeys       []APIKey
	APIKeysFile   string
	Forward       Forward
	Cookie        string   // that may hold a token; "": none
	Tickets       int      // not redeemed at once; 0: none are issued
	Publish       []string // what anybody may publish to
	Subscribe     []string // what anybody may read
}

// On reports whether anybody has to say who they are.
func (a *Access) On() bool {
	return a.HasKeys() || len(a.APIKeys) > 0 || a.APIKeysFile != "" || a.Forward.URL != ""
}

// HasKeys reports whether there are keys for tokens.
func (a *Access) HasKeys() bool {
	return a.Secret != "" || a.SecretFile != "" || a.PublicKeyFile != "" || a.JWKS != ""
}

// An APIKey is a key that the settings file holds, with what it allows.
type APIKey struct {
	Name, Hash         string // Hash is the SHA-256 of the key in hexadecimal digits
	Publish, Subscribe []string
}

// Forward concerns the application that is asked who a request comes from.
type Forward struct {
	URL     string // "": none
	Timeout time.Duration
	Cache   time.Duration // 0: an answer holds for one request
}

// Limits bound what clients may use. In all of it a zero does not limit.
type Limits struct {
	Streams         int   // open at once
	StreamsPerIP    int   // or IPv6 prefix
	StreamsPerUser  int   // whose grant has no limit of its own
	StreamsPerToken int   //
	PublishPerIP    int   // messages per second, of those without a user
	PublishPerUser  int   // messages per second, if the grant has no limit of its own
	ReplayPerClient int64 // bytes of history per second
	Memory          int64 // resident
	IPv6Prefix      int   // bits that count as one client
	Clients         int   // known at once
}

// TLS says how listeners with TLS work.
type TLS struct {
	CertFile, KeyFile string        // "": none
	Certificates      []Certificate // more of them
	MinVersion        string        // "1.2" or "1.3"
	ACME              ACME
}

// On reports whether there is a source of certificates.
func (t *TLS) On() bool {
	return t.CertFile != "" || len(t.Certificates) > 0 || len(t.ACME.Domains) > 0
}

// A Certificate is a pair of files.
type Certificate struct{ Cert, Key string }

// ACME concerns certificates that an authority issues by itself.
type ACME struct {
	Domains   []string // none: off
	Email     string
	Directory string // URL of the authority
	CAFile    string // PEM of who signs the authority's own certificate; "": the system's
	Cache     string // directory; "": below [Settings.Data]
}

// Proxy says which proxies are believed.
type Proxy struct {
	Trusted  []string // addresses, prefixes, and the words "loopback", "private" and "unix"
	Header   string   // that names the client
	Protocol bool     // connections of trusted proxies begin with a PROXY protocol header
}

// Trace says where traces go.
type Trace struct {
	Endpoint string  // URL of an OTLP receiver; "": none
	Ratio    float64 // of publishes that are traced, if whoever sent them did not decide
}

// CORS says which pages of other origins may read.
type CORS struct {
	Origins     []string // such as "https://example.com"; "*" allows any
	Credentials bool     // with cookies; never together with "*"
}

// Durable concerns the Durable Streams protocol.
type Durable struct {
	Prefix string        // of the paths of all streams, "/v1/streams/"; "": the protocol is not served
	Wait   time.Duration // that a long poll waits for data
}

// Drain says how the server stops.
type Drain struct {
	Window  time.Duration // readers are told to come back spread over this time
	Timeout time.Duration // after this the remaining connections are closed
}

// Log says how the server reports.
type Log struct {
	Format string // "text" or "json"
	Level  string // "debug", "info", "warn" or "error"
	Access bool   // a line for each request, and for each stream when it ends
}
