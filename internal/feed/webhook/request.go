package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/problem"
)

// ServeHTTP takes a message and answers when it is stored. There is no other method than
// POST: services that ask for a proof by GET, or for an echo of what they send, cannot
// be served.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	err := s.serve(w, r)
	if err == nil {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "{}\n") // the client may be gone
		return
	}
	d, ok := errors.AsType[problem.Document](err)
	if !ok {
		d = problem.Document{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
	}
	problem.StopReading(w, r)
	problem.Write(w, d)
}

const allow = http.MethodPost + ", " + http.MethodOptions

func (s *Source) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", allow)
		return problem.Document{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Detail: "method " + problem.Quote(r.Method) + " is not possible here; possible are " + allow}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return problem.Document{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Detail: "Content-Encoding is " + problem.Quote(coding) + ": send the body as it is"}
	}
	work := s.work.Load()
	if work == nil {
		return unavailable("nothing is taken while the server starts or stops: send it again", 0)
	}
	secrets, err := s.secrets.current()
	if err != nil { // the operator is told by the state of the feed
		return unavailable("the server cannot read what requests are signed with: send it again later", retryAfter)
	}
	c, err := s.claim(r.Header, secrets, time.Now())
	if err != nil {
		return err
	}
	body, release, err := s.read(w, r)
	defer release()
	if err != nil {
		return err
	}
	if err := c.check(secrets, body); err != nil {
		return err
	}
	m, err := s.message(r, c.id, body)
	if err != nil {
		return err
	}
	return work.hand(m)
}

// read reads the body. What it holds of the room goes back with release.
func (s *Source) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	h := &hold{ReadCloser: r.Body, room: &s.room}
	if !h.take(atLeast) {
		return nil, h.release, s.room.full()
	}
	r.Body = h
	body, err = problem.ReadBody(w, r, "message", s.maxBytes, s.BodyTimeout)
	if h.refused {
		err = s.room.full()
	}
	return body, h.release, err
}

// message makes a message of a request that has been let in.
func (s *Source) message(r *http.Request, id string, body []byte) (m feed.Message, err error) {
	contentType := r.Header.Get("Content-Type")
	if t, _, _ := mime.ParseMediaType(contentType); s.scheme == feed.GitHub && t == "application/x-www-form-urlencoded" {
		if body, err = payload(body); err != nil {
			return m, err
		}
		contentType = "application/json"
	}
	if s.scheme == feed.Stripe {
		id = jsonID(body)
	}
	m = feed.Message{Body: body, ID: id, Headers: headers(r.Header), Properties: map[string]string{"method": r.Method}}
	if contentType != "" {
		m.Properties["content-type"] = contentType
	}
	if event := r.Header.Get("X-Github-Event"); event != "" && s.scheme == feed.GitHub {
		m.Properties["event"] = event
	}
	return m, nil
}

// payload returns the JSON in a form, which GitHub sends unless told otherwise.
func payload(form []byte) ([]byte, error) {
	fields, err := url.ParseQuery(string(form))
	if err != nil || !fields.Has("payload") {
		return nil, problem.BadRequest("bad_body", "the form has no field payload: set the content type of the webhook to application/json")
	}
	return []byte(fields.Get("payload")), nil
}

// jsonID returns the member id of a JSON object, or "".
func jsonID(body []byte) string {
	var o struct{ ID string }
	if json.Unmarshal(body, &o) != nil {
		return ""
	}
	return o.ID
}

// secretWords are in the names of headers that are nobody's business.
var secretWords = []string{"authorization", "cookie", "signature", "token", "secret", "api-key", "apikey", "password"}

// headers are those that templates and dead letters may show.
func headers(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
next:
	for name, values := range h {
		name = strings.ToLower(name)
		for _, word := range secretWords {
			if strings.Contains(name, word) {
				continue next
			}
		}
		m[name] = strings.Join(values, ", ")
	}
	return m
}

// errNotStored says that the sender should come again: what it has sent is not in the
// log, or not known to be.
var errNotStored = unavailable("the message could not be stored: send it again", retryAfter)

func unavailable(detail string, retry time.Duration) problem.Document {
	return problem.Document{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: detail, RetryAfter: retry}
}

// tooMany refuses what there is no room for at the moment.
func tooMany(detail string, limit int) error {
	return problem.Document{Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: detail, Limit: limit}
}

func (r *room) full() error {
	return tooMany(fmt.Sprintf("requests to this webhook hold %d bytes, the limit", r.limit), int(r.limit))
}
