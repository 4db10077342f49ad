package tracing

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	maxText    = 512 // bytes of a text from a client that a span holds
	maxCommits = 16  // spans that a request with many lines has below its own
)

// A span is a request that publishes, with its visits to the log. It belongs to the
// goroutine of the handler until it is queued, and then to the one that sends.
type span struct {
	op     *operation
	parent parent // if remote
	remote bool   // the publisher has sent a parent
	trace  traceID
	id     spanID
	start  time.Time
	took   time.Duration

	path, scheme, host, client, version string // of the request

	status   int  // of the answer; 0: none
	returned bool // the handler did; else it was aborted

	messages int
	topic    string // of all messages; "": they have several, or it is not known
	mixed    bool   // they have several
	commits  []commit
}

// A commit is a visit to the log.
type commit struct {
	id       spanID
	start    time.Time
	took     time.Duration
	messages int
	failure  string // "": none
}

func newSpan(op *operation, p parent, remote bool, r *http.Request) *span {
	s := &span{
		op: op, parent: p, remote: remote, trace: p.trace, id: newSpanID(), start: time.Now(),
		path: cut(r.URL.EscapedPath()), scheme: "http", host: cut(r.Host), version: version(r),
	}
	if r.TLS != nil {
		s.scheme = "https"
	}
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil { // of a unix socket there is none
		s.client = cut(client)
	}
	if !remote {
		s.trace = newTraceID()
	}
	if op.name != "" {
		s.topic = cut(r.URL.Path[len(op.prefix):])
	}
	return s
}

// answered notes the status, once.
func (s *span) answered(status int) {
	if s.status == 0 {
		s.status = status
	}
}

// count is how many spans it is for the receiver.
func (s *span) count() int { return 1 + len(s.commits) }

// failure is the class of what went wrong, or "". That the client was at fault is no
// error of a server.
func (s *span) failure() string {
	switch {
	case !s.returned:
		return "aborted"
	case s.status >= 500:
		return strconv.Itoa(s.status)
	}
	return ""
}

// sees notes what is about to be committed.
func (s *span) sees(es []*eventlog.Entry) {
	s.messages += len(es)
	if s.op.name != "" {
		return // the path has told the topic
	}
	for _, e := range es {
		for _, name := range e.Topics {
			s.mixed = s.mixed || s.topic != "" && s.topic != name
			s.topic = name
		}
	}
}

// committed notes a visit to the log.
func (s *span) committed(c commit) {
	if len(s.commits) < maxCommits {
		s.commits = append(s.commits, c)
	}
}

// cut bounds a text. It is a copy, so that a span does not hold all of a request's head.
func cut(text string) string { return strings.Clone(text[:min(len(text), maxText)]) }

// version is that of HTTP: "1.1" or "2".
func version(r *http.Request) string {
	if r.ProtoMajor == 1 {
		return "1." + strconv.Itoa(r.ProtoMinor)
	}
	return strconv.Itoa(r.ProtoMajor)
}

type (
	traceID [16]byte
	spanID  [8]byte
)

func newTraceID() (id traceID) {
	for id == (traceID{}) { // which means none
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id spanID) {
	for id == (spanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
