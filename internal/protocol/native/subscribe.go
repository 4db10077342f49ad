package native

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/media"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/stream"
)

var (
	// startParams say where a reader starts. A request has one of them.
	startParams = []string{"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID", "since", "last"}
	// readParams are the parameters of a reader of one topic.
	readParams = append([]string{"policy", "slow", "envelope", "wait"}, startParams...)
	// selectParams are those of a reader that names its topics.
	selectParams = append([]string{"topic"}, readParams...)
)

// maxWait bounds a long poll, so that a forgotten one does not stay for ever.
const maxWait = 5 * time.Minute

// subscribe answers with a stream of topics, or with one poll; or, to HEAD, with
// what is kept of them.
func (h *Handler) subscribe(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values, known, topics []string) error {
	if err := onlyParams(q, known); err != nil {
		return err
	}
	if len(topics) == 0 {
		return problem.BadRequest("bad_parameter", "no topic: name at least one, as in /v1/events?topic=news")
	}
	sub, err := subscription(r, q, topics)
	if err != nil {
		return err
	}
	wait, err := waitParam(q)
	if err != nil {
		return err
	}
	if err := mayRead(v, topics); err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return h.describe(w, sub)
	}
	lease, err := v.Open(sub.From != hub.FromNow(), topics...)
	if err != nil {
		return h.full(w, r, err)
	}
	defer lease.Abandon()
	sub.Replayed = lease.Replayed()
	if q.Has("wait") {
		return h.poll(w, r, v, wait, sub)
	}
	return h.hub.Serve(w, lease.Request(r), sub)
}

// mayRead refuses what the visitor may not read all of.
func mayRead(v *gate.Visitor, topics []string) error {
	for _, name := range topics {
		if err := v.MaySubscribe(name); err != nil {
			return err
		}
	}
	return nil
}

// longRetry is after which time a browser for which there was no room comes back.
const longRetry = 30 * time.Second

// full answers a reader for whom there is no room. A browser's EventSource gives up
// for good at any status but 200, so it gets a stream that says what is wrong, and
// when to come back.
func (h *Handler) full(w http.ResponseWriter, r *http.Request, err error) error {
	p, ok := errors.AsType[problem.Document](err)
	if !ok || r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") == "" || r.Header.Get("Accept") != "text/event-stream" {
		return err
	}
	stream.Refuse(w, stream.Refusal{Code: p.Code, Detail: p.Detail, Status: p.Status}, max(p.RetryAfter, longRetry))
	return nil
}

// subscription reads the parameters of a subscription.
func subscription(r *http.Request, q url.Values, topics []string) (sub hub.Subscription, err error) {
	sub.Topics = topics
	if sub.Form, err = form(r, q); err != nil {
		return sub, err
	}
	if sub.Policy, err = choice(q, "policy", hub.Diff, hub.All, hub.Reset); err != nil {
		return sub, err
	}
	if sub.Slow, err = choice(q, "slow", hub.CatchUp, hub.Latest, hub.Cut); err != nil {
		return sub, err
	}
	sub.From, err = start(r.Header, q)
	return sub, err
}

// start reads where to start. The header wins over the query: a browser that
// comes back repeats the URL and adds it. The query itself must say one thing; an
// empty ID says nothing, so that a page need not leave it out.
func start(header http.Header, q url.Values) (hub.Start, error) {
	said := ""
	for _, name := range startParams {
		if !q.Has(name) || q.Get(name) == "" && name != "since" && name != "last" {
			continue
		}
		if said != "" {
			return hub.Start{}, problem.BadRequest("bad_parameter", said+" and "+name+" both say where to start: want one of them")
		}
		said = name
	}
	from, err := hub.RequestStart(header, q)
	if err != nil {
		return from, problem.BadRequest("bad_parameter", err.Error())
	}
	return from, nil
}

// offers are the media types of the wire forms, the preferred one first.
var offers = []string{"text/event-stream", "application/x-ndjson", "text/plain"}

// form chooses the wire form. JSON lines are envelopes anyway, and plain text has
// none.
func form(r *http.Request, q url.Values) (hub.Form, error) {
	envelope, err := boolParam(q, "envelope")
	if err != nil {
		return 0, err
	}
	offer, ok := media.Best(r.Header["Accept"], offers...)
	if !ok {
		return 0, problem.Document{Status: http.StatusNotAcceptable, Code: "not_acceptable",
			Detail: "Accept is " + problem.Quote(strings.Join(r.Header["Accept"], ", ")) + "; possible are " + strings.Join(offers, ", ")}
	}
	switch {
	case offer == offers[1]:
		return hub.Lines, nil
	case offer == offers[2]:
		return hub.Text, nil
	case envelope:
		return hub.Envelope, nil
	}
	return hub.Events, nil
}

func waitParam(q url.Values) (time.Duration, error) {
	d, err := time.ParseDuration(q.Get("wait"))
	if q.Has("wait") && (err != nil || d < 0 || d > maxWait) {
		return 0, problem.BadRequest("bad_parameter", "wait is "+problem.Quote(q.Get("wait"))+": want a duration from 0s to "+maxWait.String())
	}
	return d, nil
}

// pollTypes are the content types of polls, by form.
var pollTypes = [...]string{hub.Events: "text/event-stream", hub.Envelope: "text/event-stream",
	hub.Lines: "application/x-ndjson", hub.Text: "text/plain; charset=utf-8"}

// poll answers a long poll. It does not wait for longer than the visitor may read,
// and what it has got by then is for those who still may.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request, v *gate.Visitor, wait time.Duration, sub hub.Subscription) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.polling, cancel)()
	if end := v.Expires(); !end.IsZero() {
		wait = min(wait, max(0, time.Until(end)))
	}
	body, lastID, err := h.hub.Poll(ctx, sub, wait)
	if err != nil {
		return err
	}
	if err := v.Still(); err != nil {
		return err
	}
	if sub.Replayed != nil && sub.From != hub.FromNow() {
		sub.Replayed(int64(len(body)))
	}
	head := answerHeader(w, pollTypes[sub.Form])
	head.Add("Vary", "Accept")
	head.Set("Weir-Last-Event-Id", lastID)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
	return nil
}

// describe answers HEAD: what is kept of the topics.
func (h *Handler) describe(w http.ResponseWriter, sub hub.Subscription) error {
	b, err := h.hub.Bounds(sub.Topics...)
	if err != nil {
		return err
	}
	log := h.hub.Log()
	head := answerHeader(w, "")
	if b.Entries > 0 {
		head.Set("Weir-Oldest-Id", eventlog.FormatID(log.Epoch(), b.Oldest))
		head.Set("Weir-Newest-Id", eventlog.FormatID(log.Epoch(), b.Newest))
	}
	head.Set("Weir-Messages", strconv.Itoa(b.Entries))
	head.Set("Weir-Bytes", strconv.FormatInt(b.Bytes, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}
