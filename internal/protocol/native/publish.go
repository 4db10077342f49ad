package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

var publishParams = []string{"type", "id", "key", "retry"}

// publish publishes the request's body, whatever its type, to one topic.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request, name string) error {
	q := r.URL.Query()
	if err := h.mayPublish(name); err != nil {
		return err
	}
	if err := onlyParams(q, publishParams); err != nil {
		return err
	}
	m := hub.Message{Topics: []string{name}, Type: q.Get("type"), ID: q.Get("id"), Key: q.Get("key")}
	var err error
	if m.Retry, err = retryParam(q); err != nil {
		return err
	}
	if m.Data, err = h.body(w, r); err != nil {
		return err
	}
	id, err := h.hub.Publish(r.Context(), m)
	if err != nil {
		return err
	}
	w.Header().Set("Location", (&url.URL{Path: topicsPath + name}).EscapedPath())
	writeJSON(w, http.StatusCreated, map[string]string{"id": id})
	return nil
}

// mayPublish refuses what no client may publish to, and all while draining.
func (h *Handler) mayPublish(names ...string) error {
	if h.draining.Load() {
		return problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server is stopping; publish again in a moment"}
	}
	for _, name := range names {
		if strings.HasPrefix(name, Reserved) {
			return badRequest("bad_topic", "topic "+quote(name)+": the prefix "+Reserved+" is reserved for the server")
		}
	}
	return nil
}

// body reads the whole body, up to the limit of one message.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := h.opts.MaxBytes
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, h.tooLarge("message is larger than the limit", limit)
	case err != nil:
		return nil, badRequest("bad_body", "the body ended early")
	}
	return data, nil
}

func (h *Handler) tooLarge(what string, limit int) problem {
	return problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Limit: limit,
		Detail: fmt.Sprintf("%s of %d bytes", what, limit)}
}

// maxRetry bounds the reconnection time that a publisher may ask for.
const maxRetry = 24 * time.Hour

func retryParam(q url.Values) (time.Duration, error) {
	if !q.Has("retry") {
		return 0, nil
	}
	ms, err := strconv.ParseUint(q.Get("retry"), 10, 32)
	if d := time.Duration(ms) * time.Millisecond; err == nil && d <= maxRetry {
		return d, nil
	}
	return 0, badRequest("bad_parameter", "retry is "+quote(q.Get("retry"))+": want milliseconds from 0 to "+strconv.FormatInt(maxRetry.Milliseconds(), 10))
}

// post serves POST /v1/events: a form subscribes, JSON lines publish.
func (h *Handler) post(w http.ResponseWriter, r *http.Request) error {
	contentType := r.Header.Get("Content-Type")
	t, _, _ := mime.ParseMediaType(contentType)
	switch t {
	case "application/x-www-form-urlencoded":
		return h.subscribeForm(w, r)
	case "application/x-ndjson", "application/json", "application/jsonl", "application/json-lines":
		if r.Method == http.MethodPost {
			return h.publishLines(w, r)
		}
	}
	return problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Detail: "Content-Type is " + quote(contentType) + ": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe"}
}

// maxForm bounds the form of a subscription.
const maxForm = 256 << 10

func (h *Handler) subscribeForm(w http.ResponseWriter, r *http.Request) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return h.tooLarge("the form is larger than the limit", maxForm)
	}
	q, err := url.ParseQuery(string(data))
	if err != nil {
		return badRequest("bad_parameter", "the form cannot be read: "+err.Error())
	}
	for name, values := range r.URL.Query() {
		q[name] = append(q[name], values...)
	}
	return h.subscribe(w, r, q, q["topic"])
}

// describe answers HEAD: what is kept of a topic.
func (h *Handler) describe(w http.ResponseWriter, name string) error {
	sel, err := eventlog.Select(name)
	if err != nil {
		return badRequest("bad_pattern", err.Error())
	}
	log := h.hub.Log()
	b := log.Bounds(sel)
	head := w.Header()
	if b.Entries > 0 {
		head.Set("Weir-Oldest-Id", eventlog.FormatID(log.Epoch(), b.Oldest))
		head.Set("Weir-Newest-Id", eventlog.FormatID(log.Epoch(), b.Newest))
	}
	head.Set("Weir-Messages", strconv.Itoa(b.Entries))
	head.Set("Weir-Bytes", strconv.FormatInt(b.Bytes, 10))
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// forget answers DELETE.
func (h *Handler) forget(w http.ResponseWriter, name string) error {
	if err := h.mayPublish(name); err != nil {
		return err
	}
	if _, err := eventlog.Select(name); err != nil || strings.Contains(name, "*") {
		return badRequest("bad_topic", "topic "+quote(name)+": want the name of one topic")
	}
	h.hub.Log().Forget(name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
