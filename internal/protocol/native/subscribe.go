package native

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/media"
)

// subscribeParams are the parameters of a subscription.
var subscribeParams = []string{"topic", "since", "last", "policy", "slow", "envelope", "wait",
	"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID"}

// maxWait bounds a long poll, so that a forgotten one does not stay for ever.
const maxWait = 5 * time.Minute

// subscribe answers with a stream of topics, or with one poll.
func (h *Handler) subscribe(w http.ResponseWriter, r *http.Request, q url.Values, topics []string) error {
	if err := onlyParams(q, subscribeParams); err != nil {
		return err
	}
	if len(topics) == 0 {
		return badRequest("bad_parameter", "no topic: name at least one, as in /v1/events?topic=news")
	}
	sub, err := subscription(r, q, topics)
	if err != nil {
		return err
	}
	if q.Has("wait") {
		return h.poll(w, r, q.Get("wait"), sub)
	}
	return h.hub.Serve(w, r, sub)
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
	if sub.From, err = hub.RequestStart(r.Header, q); err != nil {
		return sub, badRequest("bad_parameter", err.Error())
	}
	return sub, nil
}

// offers are the media types of the wire forms, the preferred one first.
var offers = []string{"text/event-stream", "application/x-ndjson", "text/plain"}

// form chooses the wire form.
func form(r *http.Request, q url.Values) (hub.Form, error) {
	envelope, err := boolParam(q, "envelope")
	if err != nil {
		return 0, err
	}
	offer, ok := media.Best(r.Header["Accept"], offers...)
	if !ok {
		return 0, problem{Status: http.StatusNotAcceptable, Code: "not_acceptable",
			Detail: "Accept is " + quote(strings.Join(r.Header["Accept"], ", ")) + "; possible are " + strings.Join(offers, ", ")}
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

// poll answers a long poll.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request, wait string, sub hub.Subscription) error {
	d, err := time.ParseDuration(wait)
	if err != nil || d < 0 || d > maxWait {
		return badRequest("bad_parameter", "wait is "+quote(wait)+": want a duration from 0s to "+maxWait.String())
	}
	body, lastID, err := h.hub.Poll(r.Context(), sub, d)
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Content-Type", offers[[...]int{hub.Events: 0, hub.Envelope: 0, hub.Lines: 1, hub.Text: 2}[sub.Form]])
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Weir-Last-Event-Id", lastID)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
	return nil
}

// onlyParams refuses parameters that mean nothing here: a misspelt one would
// silently change what the reader gets.
func onlyParams(q url.Values, known []string) error {
	for name := range q {
		if !slices.Contains(known, name) {
			return badRequest("unknown_parameter", "unknown parameter "+quote(name)+"; known are "+strings.Join(known, ", "))
		}
	}
	return nil
}

// choice reads a parameter that is one of several words. It is nil if absent.
func choice[T interface {
	comparable
	String() string
}](q url.Values, name string, values ...T) (*T, error) {
	if !q.Has(name) {
		return nil, nil
	}
	var words []string
	for _, v := range values {
		if v.String() == q.Get(name) {
			return &v, nil
		}
		words = append(words, v.String())
	}
	return nil, badRequest("bad_parameter", name+" is "+quote(q.Get(name))+": want "+strings.Join(words, ", "))
}

func boolParam(q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	b, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, badRequest("bad_parameter", name+" is "+quote(q.Get(name))+": want true or false")
	}
	return b, nil
}
