package bench

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Scenario is a kind of load.
type Scenario string

// The scenarios.
const (
	Idle    Scenario = "idle"    // connections that only wait
	Fanout  Scenario = "fanout"  // one topic with many readers
	Topics  Scenario = "topics"  // many topics with one reader each
	Storm   Scenario = "storm"   // all readers reconnect at once and resume
	Slow    Scenario = "slow"    // a share of the readers stops reading
	Publish Scenario = "publish" // publishing with few readers or none
)

// Scenarios lists all in the order of the documentation.
func Scenarios() []Scenario { return []Scenario{Idle, Fanout, Topics, Storm, Slow, Publish} }

// Options say what to do to which server. Begin with [Defaults].
type Options struct {
	Scenario Scenario

	// Server is the address of a weir server, http://host:port. It gives the URLs
	// below that are empty.
	Server string
	// SubscribeURL, PublishURL and BatchURL are templates: {topic} becomes the
	// escaped topic, {query} becomes topic=A&topic=B for readers of several topics.
	SubscribeURL, PublishURL, BatchURL string
	PublishMethod                      string
	// PublishBody and BatchLine are templates of bodies: {data} becomes the payload,
	// {topic} the topic. A batch is one line for each message.
	PublishBody, BatchLine             string
	Headers                            []string // "Name: value", for every request
	SubscribeHeaders, PublishHeaders   []string
	Insecure                           bool   // accept any certificate
	Goroutines                         bool   // one goroutine per connection although epoll would do
	Topic                              string // name of the topic, or what the names begin with; "" makes one up
	Connections, Topics, TopicsPerConn int
	Others, Patterns                   int // readers of other topics and of other patterns, which get nothing

	Size     int           // bytes of payload
	InFlight int           // publishes under way at once, each on a connection of its own; of several topics, one each
	Batch    int           // messages per publish; 1 is a plain publish
	Messages int64         // to publish; 0 publishes for Duration
	Duration time.Duration // of publishing, if Messages is 0
	Rate     float64       // messages per second; 0 is as fast as possible
	Window   int           // most messages published and not yet received by all; 0 is no limit

	Hold    time.Duration // how long idle connections are held
	Stalled float64       // percent of readers that stall
	Burst   int           // messages that fill the buffers of stalled readers
	Rounds  int           // of a storm

	Connecting int           // connections being opened at once
	Nap        time.Duration // after a busy moment, look again only after this long; see nap
	Patience   time.Duration // give up waiting when nothing happens for this long
	TimeLimit  time.Duration // of the whole run
	PIDs       []int         // processes of the server, for its processor time and memory
	CPUs       []int         // processors the client is confined to; none is no change

	// Progress is called some ten times a second if it is not nil.
	Progress func(Progress)
}

// Progress says how far a run is.
type Progress struct {
	Step        string // what is being done
	Done, Total int64
	Rate        float64 // of Done per second, since the last call
}

// Defaults returns what a scenario does unless told otherwise.
func Defaults(s Scenario) Options {
	o := Options{
		Scenario: s, PublishMethod: http.MethodPost, PublishBody: dataMark,
		BatchLine:   `{"topic":"` + topicMark + `","data":"` + dataMark + `"}`,
		Connections: 1000, Topics: 1, TopicsPerConn: 1, Size: 128, InFlight: 1, Batch: 1, Rounds: 1,
		Connecting: 1000, Patience: 10 * time.Second, TimeLimit: 10 * time.Minute,
	}
	switch s {
	case Idle:
		o.Hold = 10 * time.Second
	case Fanout:
		o.Duration = 10 * time.Second
	case Topics:
		o.InFlight, o.Duration = 64, 10*time.Second
	case Storm:
		o.Messages, o.InFlight = 10, 1
	case Slow:
		o.InFlight, o.Rate, o.Duration, o.Stalled, o.Burst = 16, 20, 10*time.Second, 1, 1000
	case Publish:
		o.Connections, o.InFlight, o.Duration = 0, 64, 10*time.Second
	}
	return o
}

// complete fills in what follows from other options, and checks them all.
func (o *Options) complete() error {
	if o.Scenario == Topics {
		o.Topics = o.Connections
	}
	if o.Topics > 1 { // a topic has one publisher
		o.InFlight = min(o.InFlight, o.Topics)
	}
	server := strings.TrimRight(o.Server, "/")
	setDefault(&o.SubscribeURL, server+"/v1/topics/"+topicMark)
	if o.TopicsPerConn > 1 && o.SubscribeURL == server+"/v1/topics/"+topicMark {
		o.SubscribeURL = server + "/v1/events?" + queryMark
	}
	setDefault(&o.PublishURL, server+"/v1/topics/"+topicMark)
	setDefault(&o.BatchURL, server+"/v1/events")
	if err := o.checkRanges(); err != nil {
		return err
	}
	return o.checkTexts()
}

func setDefault(p *string, value string) {
	if *p == "" {
		*p = value
	}
}

func (o *Options) checkRanges() error {
	for _, v := range []struct {
		name               string
		value, least, most float64
	}{
		{"connections", float64(o.Connections), o.leastConnections(), 1e6},
		{"topics", float64(o.Topics), 1, probeStream - 1},
		{"topics-per-conn", float64(o.TopicsPerConn), 1, 1000},
		{"others", float64(o.Others), 0, 1e6},
		{"patterns", float64(o.Patterns), 0, 1e6},
		{"size", float64(o.Size), stampLen, 16 << 20},
		{"inflight", float64(o.InFlight), 1, 10000},
		{"batch", float64(o.Batch), 1, 1e6},
		{"messages", float64(o.Messages), 0, math.MaxInt32},
		{"rate", o.Rate, 0, 1e9},
		{"window", float64(o.Window), 0, 1e9},
		{"stalled", o.Stalled, 0, 99},
		{"burst", float64(o.Burst), 0, 1e6},
		{"rounds", float64(o.Rounds), 1, 1000},
		{"connecting", float64(o.Connecting), 1, 1e6},
		{"duration", o.Duration.Seconds(), 0, 86400},
		{"hold", o.Hold.Seconds(), 0, 86400},
		{"patience", o.Patience.Seconds(), 0.1, 3600},
		{"time-limit", o.TimeLimit.Seconds(), 0.1, 7 * 86400},
	} {
		if !(v.value >= v.least && v.value <= v.most) {
			return mistake("%s %v is not within the limits %v to %v", v.name, v.value, v.least, v.most)
		}
	}
	if o.publishes() && o.Messages == 0 && o.Duration == 0 {
		return mistake("neither messages nor a duration is given, so publishing would not end")
	}
	return nil
}

func (o *Options) leastConnections() float64 {
	if o.Scenario == Publish {
		return 0
	}
	return 1
}

func (o *Options) publishes() bool { return o.Scenario != Idle }

func (o *Options) checkTexts() error {
	for _, v := range []struct{ name, url string }{{"subscribe-url", o.SubscribeURL}, {"publish-url", o.PublishURL}, {"batch-url", o.BatchURL}} {
		u, err := url.Parse(expandURL(v.url, []string{"t"}))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return mistake("%s %q is not a URL that begins with http:// or https://", v.name, v.url)
		}
	}
	for _, h := range append(append(o.Headers[:len(o.Headers):len(o.Headers)], o.SubscribeHeaders...), o.PublishHeaders...) {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return mistake("header %q is not of the form \"Name: value\"", h)
		}
	}
	if !strings.Contains(o.PublishBody, dataMark) || !strings.Contains(o.BatchLine, dataMark) {
		return mistake("a body has no %s where the payload goes", dataMark)
	}
	if strings.ContainsAny(o.PublishMethod, " \r\n") || o.PublishMethod == "" {
		return mistake("%q is not a method", o.PublishMethod)
	}
	return nil
}

// A Mistake says that options are wrong.
type Mistake struct{ text string }

func (m *Mistake) Error() string { return m.text }

func mistake(format string, args ...any) error { return &Mistake{fmt.Sprintf(format, args...)} }
