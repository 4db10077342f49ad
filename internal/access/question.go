package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxQuestion = 16 << 10 // bytes of what is sent of a request
	maxAnswer   = 64 << 10 // bytes of a body, and of a header
	// maxRefusal is the longest that a refusal is used again: who has just logged in
	// tries again at once.
	maxRefusal   = time.Second
	maxChallenge = 1000 // bytes
)

type digest [sha256.Size]byte

// A question is what the application is told of one request.
type question struct {
	header http.Header
	key    digest // of what says who sent it
}

// question takes from a request what the application may see. What clients send as
// X-Forwarded-* is not among it. The error is an [*Error].
//
// Without ambient, it leaves out what a browser adds to requests of any page: cookies,
// and Authorization of other kinds than Bearer (a browser keeps those for Basic,
// Digest or Negotiate).
func (f *Forward) question(r *http.Request, ambient bool) (question, error) {
	h := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"}, // or the limit would be on what is compressed
	}
	copyHeader(h, r.Header, "Origin", "Accept-Language", "Authorization", "Cookie")
	if scheme, _, _ := strings.Cut(h.Get("Authorization"), " "); !ambient && !strings.EqualFold(scheme, "Bearer") {
		h.Del("Authorization")
	}
	if !ambient {
		h.Del("Cookie")
	}
	h.Set("User-Agent", r.UserAgent()) // "" keeps package http from sending its own
	f.addForwarded(h, r)
	if err := checkQuestion(h); err != nil {
		return question{}, err
	}
	return question{header: h, key: identity(h)}, nil
}

// copyHeader joins lines of the same name: HTTP/2 clients send cookies one by one.
func copyHeader(to, from http.Header, names ...string) {
	for _, name := range names {
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		if text := strings.Join(from[name], separator); text != "" {
			to[name] = []string{text}
		}
	}
}

func (f *Forward) addForwarded(h http.Header, r *http.Request) {
	c := f.opts.Client(r)
	if c.Address == "" {
		c.Address, _, _ = net.SplitHostPort(r.RemoteAddr) // "" for unix sockets
	}
	if c.Host == "" {
		c.Host = r.Host
	}
	if c.Proto == "" && r.TLS != nil {
		c.Proto = "https"
	} else if c.Proto == "" {
		c.Proto = "http"
	}
	h.Set("X-Forwarded-Method", r.Method)
	h.Set("X-Forwarded-Uri", r.URL.RequestURI())
	h.Set("X-Forwarded-Host", c.Host)
	h.Set("X-Forwarded-Proto", c.Proto)
	if c.Address != "" {
		h.Set("X-Forwarded-For", c.Address)
	}
}

// checkQuestion refuses what the application could not read, so that it is the
// client's fault and not reported as one of the application.
func checkQuestion(h http.Header) error {
	size := 0
	for _, values := range h {
		size += len(values[0])
		if !printable(values[0]) {
			return refuse(BadToken, "a control character in what the application must see of the request")
		}
	}
	if size > maxQuestion {
		return refuse(BadToken, "the headers and the URL that the application must see have %d bytes, limit %d", size, maxQuestion)
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f })
}

// identity is of what says who sends a request. With the lengths between them, no two
// texts can be moved into each other.
func identity(h http.Header) (d digest) {
	sum := sha256.New()
	for _, name := range []string{"Authorization", "Cookie", "Origin"} {
		value := h.Get(name)
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(value))))
		sum.Write([]byte(value))
	}
	return digest(sum.Sum(nil))
}

// call asks once. An error means that there is no answer that counts.
func (f *Forward) call(ctx context.Context, q question) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.opts.URL, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header = q.header
	asked := time.Now()
	resp, err := f.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer closeBody(resp.Body)
	a, err := readAnswer(resp, asked)
	if err != nil {
		return answer{}, err
	}
	f.setLife(&a, resp.Header, asked)
	return a, nil
}

// closeBody reads what is left of a short one, so that the connection can be used again.
func closeBody(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, 4<<10)
	_ = b.Close()
}

// setLife says how long the answer is used again.
func (f *Forward) setLife(a *answer, h http.Header, asked time.Time) {
	life := min(f.opts.Cache, maxAge(h))
	a.once = life <= 0
	if a.err != nil {
		life = min(life, maxRefusal)
	}
	if a.ends = asked.Add(life); !a.grant.Expires.IsZero() && a.grant.Expires.Before(a.ends) {
		a.ends = a.grant.Expires
	}
}

// maxAge returns how long an answer may be used for other requests. What cannot be
// read is 0. "private" is no obstacle: only the same person gets it again.
//
// Source: RFC 9111, sections 4.1 and 5.2.2.
func maxAge(h http.Header) time.Duration {
	age := time.Duration(1<<63 - 1)
	for directive := range strings.SplitSeq(strings.Join(h["Cache-Control"], ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age", "s-maxage":
			seconds, _ := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			age = min(age, time.Duration(seconds)*time.Second)
		}
	}
	for name := range strings.SplitSeq(strings.Join(h["Vary"], ","), ",") {
		if variesUnseen(http.CanonicalHeaderKey(strings.TrimSpace(name))) {
			return 0
		}
	}
	return age
}

// variesUnseen reports whether an answer depends on what is sent and not part of
// [identity].
func variesUnseen(name string) bool {
	switch name {
	case "*", "User-Agent", "Accept-Language":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// readAnswer reads a grant or a refusal. All else is an error.
func readAnswer(resp *http.Response, asked time.Time) (answer, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		g, err := readGrant(resp, asked)
		if err == nil && g.Expired(asked) {
			return answer{err: refuse(ExpiredToken, "what the application grants has expired")}, nil
		}
		return answer{grant: g}, err
	case http.StatusUnauthorized:
		return refused(NoToken, "the application does not know who this is", resp.Header), nil
	case http.StatusForbidden:
		return refused(Forbidden, "the application does not allow it", resp.Header), nil
	}
	if resp.StatusCode/100 == 3 {
		return answer{}, fmt.Errorf("the answer is %d; redirects are not followed, use 401", resp.StatusCode)
	}
	return answer{}, fmt.Errorf("the answer is %d; want 200 with a grant, 401 or 403", resp.StatusCode)
}

// refused passes on how to log in, if that fits into a header.
func refused(code Code, detail string, h http.Header) answer {
	e := refuse(code, "%s", detail)
	if c := strings.Join(h["Www-Authenticate"], ", "); len(c) <= maxChallenge && printable(c) {
		e.challenge = c
	}
	return answer{err: e}
}

func readGrant(resp *http.Response, asked time.Time) (Grant, error) {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return Grant{}, fmt.Errorf("the answer is 200 with the Content-Type %.64q; want application/json and a grant", resp.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Grant{}, err
	case len(text) > maxAnswer:
		return Grant{}, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	g, err := parseGrant(text)
	if err != nil {
		return Grant{}, fmt.Errorf("the grant in the answer: %w", err)
	}
	g.Issued = asked
	return g, nil
}

// parseGrant reads a grant as an application writes it. Unknown fields and those that
// are null do not count; the names of the others are those of claims in a token:
//
//	{
//	  "user": "alice",
//	  "id": "session 7f3a",
//	  "publish": ["rooms/7"],
//	  "subscribe": ["rooms/*", "users/alice/**"],
//	  "expires": "2027-01-01T00:00:00Z",
//	  "streams": 10,
//	  "rate": 50,
//	  "info": {"name": "Alice"}
//	}
func parseGrant(text []byte) (Grant, error) {
	if err := checkText(text); err != nil {
		return Grant{}, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return Grant{}, errors.New("not JSON, or a number in it is too large")
	}
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil })
	r := &reader{noun: "field", claims: fields}
	g := Grant{
		User: r.text("user"), ID: r.text("id"), Expires: r.timestamp("expires"),
		Publish: r.patterns("publish"), Subscribe: r.patterns("subscribe"),
		Limits: Limits{Streams: r.count("streams"), Rate: r.count("rate")}, Info: r.json("info"),
	}
	if r.err != nil {
		return Grant{}, r.err
	}
	if g.ID == "" && g.User != "" {
		g.digest = shortDigest("user " + g.User)
	}
	return g, g.Check()
}

// timestamp reads RFC 3339 text or seconds since 1970.
func (r *reader) timestamp(name string) time.Time {
	text, ok := r.claims[name].(string)
	if !ok {
		return r.moment(name)
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 || t.Unix() > latest {
		r.wrong(name, `a time like "2027-01-01T00:00:00Z", or seconds since 1970`)
		return time.Time{}
	}
	return t
}
