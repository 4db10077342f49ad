package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/topic"
)

// A Spec says what a webhook does. Its fields are the keys of the settings file. Zero
// fields take the defaults stated.
type Spec struct {
	Name       string        // 1 to 64 letters, digits, - and _; a hook that is known by it goes on where it was
	URL        string        // http or https
	SecretFile string        // file with what requests are signed with: one per line, 24 bytes or more, or whsec_ and base64; the first two count, and it is read for each request
	Topics     []string      // names and patterns of the topics that events are about, 1 to 100
	Events     []string      // see [Events]; none: occupied, vacated, join and leave
	Batch      int           // events in a request at most, 1 to [MaxBatch]; 0: 100
	Timeout    time.Duration // for a request and its answer; 0: 10 s

	// GiveUp is how long a batch is sent again that is not accepted: it is given up when
	// the receiver has accepted nothing for so long, and the newest event of the batch is
	// as old. 0: 24 h.
	GiveUp     time.Duration
	DeadLetter string // topic of events that were given up; "": they are dropped
}

// MaxBatch is the limit of Spec.Batch.
const MaxBatch = 1000

// maxTopics is how many topics and patterns a Spec may have.
const maxTopics = 100

// The topics of what weir itself tells begin so; the topic that it is about follows.
const (
	reserved    = "weir/"
	presence    = "weir/presence/"
	connections = "weir/connections/"
)

// message is the event of a message in one of the topics themselves.
const message = "message"

// prefixes are those of the topics in which an event is found.
var prefixes = map[string]string{
	"occupied": presence, "vacated": presence, "join": presence, "leave": presence,
	"connect": connections, "disconnect": connections, message: "",
}

// Events are all events that a Spec may name. The event "gap" needs no name: it is sent
// when others are missing.
var Events = []string{"occupied", "vacated", "join", "leave", "connect", "disconnect", message}

func (s Spec) withDefaults() Spec {
	if len(s.Events) == 0 {
		s.Events = Events[:4]
	}
	s.Batch = cmp.Or(s.Batch, 100)
	s.Timeout = cmp.Or(s.Timeout, 10*time.Second)
	s.GiveUp = cmp.Or(s.GiveUp, 24*time.Hour)
	return s
}

var hookName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Check reports what is wrong with s, in terms of the keys of the settings file, or
// returns nil. It does not quote URL, which may hold a password, and does not look at
// the numbers and times.
func (s *Spec) Check() error {
	if !hookName.MatchString(s.Name) {
		return fmt.Errorf("%q is not a name: want 1 to 64 letters, digits, - and _", s.Name)
	}
	if err := checkURL(s.URL); err != nil {
		return err
	}
	if s.SecretFile == "" {
		return errors.New("needs secret-file: PATH, the file with what requests are signed with")
	}
	for _, e := range s.Events {
		if !slices.Contains(Events, e) {
			return fmt.Errorf("events: %q is not one of %s", e, strings.Join(Events, ", "))
		}
	}
	if n := len(s.Topics); n == 0 || n > maxTopics {
		return fmt.Errorf("has %d topics, want 1 to %d: add topics: [PATTERN]", n, maxTopics)
	}
	spec := s.withDefaults()
	if _, err := newFilter(&spec); err != nil {
		return err
	}
	return checkDeadLetter(s.DeadLetter)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("has no url: add url: https://HOST/PATH")
	case err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("url is not one: write it like https://app.example/hooks/weir")
	case u.User != nil:
		return errors.New("url holds a name or password: leave them out, requests are signed")
	}
	return nil
}

func checkDeadLetter(name string) error {
	if name == "" {
		return nil
	}
	if err := topic.Check(name); err != nil {
		return fmt.Errorf("dead-letter: %w", err)
	}
	if isReserved(name) {
		return fmt.Errorf("dead-letter: the prefix %s is reserved for the server", reserved)
	}
	return nil
}

func isReserved(name string) bool { return strings.HasPrefix(name+"/", reserved) }

// String returns the server of URL, without what may be secret.
func (s *Spec) String() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Readers returns the topics and patterns of which s needs to know who reads them, and
// those of which it needs to know each connection.
func (s *Spec) Readers() (presenceOf, connectionsOf []string) {
	for _, e := range s.withDefaults().Events {
		switch prefixes[e] {
		case presence:
			presenceOf = s.Topics
		case connections:
			connectionsOf = s.Topics
		}
	}
	return presenceOf, connectionsOf
}
