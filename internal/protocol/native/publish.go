package native

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/topic"
)

var publishParams = []string{"type", "id", "key", "state", "retry", keyParam}

// publish publishes the request's body, whatever its type, to one topic.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values, name string) error {
	if err := h.mayPublish(v, name); err != nil {
		return err
	}
	m, err := message(q, r.Header[keyHeader], name)
	if err != nil {
		return err
	}
	if m.Data, err = h.body(w, r); err != nil {
		return err
	}
	// Once more: what is published after the readers were told to go is lost.
	if h.Draining() {
		return errStopping
	}
	if err := v.Publish(1); err != nil {
		return err
	}
	// A client may close its side right after the body, which ends r.Context.
	receipt, err := h.commit(context.WithoutCancel(r.Context()), m)
	if err != nil {
		return err
	}
	h.answer(w, r, name, receipt)
	return nil
}

// commit publishes one message.
func (h *Handler) commit(ctx context.Context, m hub.Message) (hub.Receipt, error) {
	receipts, err := h.hub.Commit(ctx, nil, m)
	if err != nil {
		return hub.Receipt{}, err
	}
	return receipts[0], nil
}

// message reads all of a message but its data. keys are the values of keyHeader.
func message(q url.Values, keys []string, name string) (m hub.Message, err error) {
	if err := onlyParams(q, publishParams); err != nil {
		return m, err
	}
	m = hub.Message{Topics: []string{name}, Type: q.Get("type"), ID: q.Get("id")}
	if m.Key, err = textParam(q, "key"); err != nil {
		return m, err
	}
	if m.State, err = stateParam(q); err != nil {
		return m, err
	}
	if m.Retry, err = retryParam(q); err != nil {
		return m, err
	}
	key, err := requestKey(q, keys)
	if key != "" {
		m.IdempotencyKey = logKey(name, key, 0)
	}
	return m, err
}

// mayPublish refuses what no client may publish to, what this one may not, and all
// while draining.
func (h *Handler) mayPublish(v *gate.Visitor, names ...string) error {
	if h.Draining() {
		return errStopping
	}
	for _, name := range names {
		if err := v.MayPublish(name); err != nil {
			return err
		}
		if strings.HasPrefix(name, Reserved) {
			return problem.BadRequest("bad_topic", "topic "+problem.Quote(name)+": the prefix "+Reserved+" is reserved for the server")
		}
	}
	return nil
}

// body reads the whole body, up to the limit of one message.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := identity(r); err != nil {
		return nil, err
	}
	return problem.ReadBody(w, r, "message", h.opts.MaxBytes, h.opts.BodyTimeout)
}

// identity refuses bodies that would have to be decompressed: readers would get
// what they cannot read.
func identity(r *http.Request) error {
	coding := strings.Join(r.Header["Content-Encoding"], ", ")
	if coding == "" || strings.EqualFold(coding, "identity") {
		return nil
	}
	return unsupported("Content-Encoding is " + problem.Quote(coding) + ": send the body as it is")
}

func unsupported(detail string) problem.Document {
	return problem.Document{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: detail}
}

// maxRetry bounds the reconnection time that a publisher may ask for.
const maxRetry = 24 * time.Hour

func stateParam(q url.Values) (bool, error) {
	if !q.Has("state") {
		return false, nil
	}
	state, err := strconv.ParseBool(q.Get("state"))
	if err != nil {
		err = problem.BadRequest("bad_parameter", "state is "+problem.Quote(q.Get("state"))+": want true or false")
	}
	return state, err
}

func retryParam(q url.Values) (time.Duration, error) {
	if !q.Has("retry") {
		return 0, nil
	}
	ms, err := strconv.ParseUint(q.Get("retry"), 10, 32)
	if d := time.Duration(ms) * time.Millisecond; err == nil && d <= maxRetry {
		return d, nil
	}
	return 0, problem.BadRequest("bad_parameter", "retry is "+problem.Quote(q.Get("retry"))+": want milliseconds from 0 to "+strconv.FormatInt(maxRetry.Milliseconds(), 10))
}

// post serves POST and QUERY /v1/events: a form subscribes, JSON lines, which a
// body without a type is taken for, publish.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values) error {
	if err := identity(r); err != nil {
		return err
	}
	contentType := r.Header.Get("Content-Type")
	t, params, _ := mime.ParseMediaType(contentType)
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return unsupported("Content-Type is " + problem.Quote(contentType) + ": want UTF-8")
	}
	switch t {
	case "application/x-www-form-urlencoded":
		return h.subscribeForm(w, r, v, q)
	case "application/x-ndjson", "application/json", "application/jsonl", "application/json-lines", "":
		if r.Method == http.MethodPost && (t != "" || contentType == "") {
			return h.publishLines(w, r, v, q)
		}
	}
	return unsupported("Content-Type is " + problem.Quote(contentType) + ": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe")
}

// maxForm bounds the form of a subscription, in bytes.
const maxForm = 256 << 10

func (h *Handler) subscribeForm(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values) error {
	data, err := problem.ReadBody(w, r, "form", maxForm, h.opts.BodyTimeout)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return unsupported("the body looks like JSON lines, but Content-Type says that it is a form: to publish, send the header Content-Type: application/x-ndjson")
	}
	fields, err := url.ParseQuery(string(data))
	if err != nil {
		return problem.BadRequest("bad_parameter", "the form cannot be read: "+err.Error())
	}
	for name, values := range fields {
		q[name] = append(q[name], values...)
	}
	return h.subscribe(w, r, v, q, selectParams, q["topic"])
}

// forget answers DELETE.
func (h *Handler) forget(w http.ResponseWriter, v *gate.Visitor, q url.Values, name string) error {
	if err := h.mayPublish(v, name); err != nil {
		return err
	}
	if err := onlyParams(q, nil); err != nil {
		return err
	}
	if err := topic.Check(name); err != nil {
		return problem.BadRequest("bad_topic", err.Error())
	}
	if err := v.Publish(1); err != nil {
		return err
	}
	if _, err := h.hub.Log().Forget(name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
