package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// A values has what goes into a request, by "name place": "since query". The body is
// " body".
type values map[string][]string

// A question is a request.
type question struct {
	method, url string
	header      http.Header
	body        string
}

// An answer is a response. Of a stream, body is its beginning.
type answer struct {
	status int
	header http.Header
	body   []byte
	stream bool
}

func (a answer) mediaType() string {
	t, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return t
}

func (a answer) problem() (p struct {
	Status       int
	Code, Detail string
}) {
	_ = json.Unmarshal(a.body, &p) // the caller looks at what it has
	return p
}

// fields are those of several answers.
func (a answer) fields() (f struct {
	Ticket       string
	Total, Ended int
}) {
	_ = json.Unmarshal(a.body, &f)
	return f
}

// fits reports how a value differs from a schema.
func fits(s *openapi3.Schema, value any) error {
	return s.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// typed reads the text of a parameter as its schema wants; what cannot be read so
// stays a text, which then does not fit.
func typed(s *openapi3.Schema, text string) any {
	switch {
	case s.Type.Is("integer"):
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return float64(n)
		}
	case s.Type.Is("boolean") && (text == "true" || text == "false"):
		return text == "true"
	case s.Type.Is("array"):
		return []any{text}
	}
	return text
}

// examples are the values of a parameter that the document names, if it has an
// example or lists all there are.
func examples(p *openapi3.Parameter) []string {
	s := p.Schema.Value
	named := slices.Clone(s.Enum)
	if s.Default != nil {
		named = append(named, s.Default)
	}
	if p.Example != nil && p.Name != "hash" {
		named = append(named, p.Example)
	}
	for _, x := range p.Examples {
		named = append(named, x.Value.Value)
	}
	if len(named) > 0 && s.Min != nil {
		named = append(named, *s.Min)
	}
	if len(named) > 0 && s.Max != nil {
		named = append(named, *s.Max)
	}
	var all []string
	for _, v := range named {
		all = append(all, texts(v)...)
	}
	return all
}

// strange are values that parameters get from those who mean ill or have not read the
// document.
func strange(o operation, p *openapi3.Parameter) []string {
	all := []string{"nonsense", "-1", "1e9", "2", strings.Repeat("a", 300), "100000000000000000000", "../x", "%"}
	if p.In != "header" {
		all = append(all, "\x00", "a\r\nX: y", "\xff", "*")
	}
	if p.In == "query" && o.strict() && p.Schema.Value.Pattern+fmt.Sprint(p.Schema.Value.Enum) != "[]" {
		all = append(all, "")
	}
	if p.In == "path" && !strings.HasPrefix(o.path, "/v1/") {
		return all[:2] // net/http cleans paths
	}
	if s := p.Schema.Value; s.Type.Is("integer") && s.Min != nil && s.Max != nil {
		all = append(all, strconv.FormatFloat(*s.Min-1, 'f', -1, 64), strconv.FormatFloat(*s.Max+1, 'f', -1, 64))
	}
	return all
}

// together is what a parameter needs to make sense, by its name.
var together = map[string]values{
	"wait": {"since query": {"start"}}, // there are messages, so nobody waits
	"live": {"offset query": {"-1"}},
}

// ask sends an operation with what it needs and the given values, and checks the
// answer. class is the first digit that its status is to have, or 0 for any.
func (iv *interview) ask(o operation, given values, class int) answer {
	iv.prepare(o)
	q := iv.question(o, o.method, given)
	a := iv.send(q)
	iv.seen[strconv.Itoa(a.status)] = true
	where := fmt.Sprintf("%s %s %q %.60q", q.method, q.url, q.header, q.body)
	if class != 0 && a.status/100 != class {
		iv.t.Errorf("%s: %d %s, want %d..", where, a.status, a.body, class)
	}
	if err := iv.check(o, a); err != nil {
		iv.t.Errorf("%s: %d %s: %v", where, a.status, a.body, err)
	}
	return a
}

// prepare makes what an operation works on.
func (iv *interview) prepare(o operation) {
	switch {
	case strings.HasPrefix(o.path, "/v1/streams/"):
		text := http.Header{"Content-Type": {"text/plain"}}
		iv.send(question{method: "DELETE", url: "/v1/streams/chat/7"})
		iv.send(question{method: "PUT", url: "/v1/streams/chat/6", header: text, body: "inherited"})
		if o.method != http.MethodPut {
			iv.send(question{method: "PUT", url: "/v1/streams/chat/7", header: text, body: "x"})
		}
	case o.strict():
		iv.send(question{method: "POST", url: "/v1/topics/orders/17", body: "hello"})
	}
}

// question puts a request together: the required parameters have their examples.
func (iv *interview) question(o operation, method string, given values) question {
	all := make(values)
	for _, p := range o.params {
		if p.Value.Required {
			all[p.Value.Name+" "+p.Value.In] = texts(p.Value.Example)
		}
	}
	all["hash path"] = []string{iv.hash}
	if o.RequestBody != nil {
		all[" body"], all["Content-Type header"] = []string{iv.firstBody(o)}, []string{"text/plain"}
		if o.path == "/v1/events" {
			all["Content-Type header"] = []string{"application/x-ndjson"}
		}
	}
	for key := range given {
		name, _, _ := strings.Cut(key, " ")
		maps.Copy(all, together[name])
	}
	maps.Copy(all, given)
	return build(o.path, method, all)
}

func (iv *interview) firstBody(o operation) string {
	for _, name := range []string{"*/*", "application/x-ndjson"} {
		if media := o.RequestBody.Value.Content[name]; media != nil {
			return bodyText(name, media.Example)
		}
	}
	return ""
}

func build(path, method string, all values) question {
	q := question{method: method, url: path, header: make(http.Header)}
	query := make(url.Values)
	for key, texts := range all {
		name, place, _ := strings.Cut(key, " ")
		switch place {
		case "path":
			segments := strings.Split(texts[0], "/")
			for i := range segments {
				segments[i] = url.PathEscape(segments[i])
			}
			q.url = strings.Replace(q.url, "{"+name+"}", strings.Join(segments, "/"), 1)
		case "query":
			query[name] = texts
		case "header":
			q.header[http.CanonicalHeaderKey(name)] = texts
		case "body":
			q.body = texts[0]
		}
	}
	if len(query) > 0 {
		q.url += "?" + query.Encode()
	}
	return q
}

// send sends a request. Of a stream it reads the beginning.
func (iv *interview) send(q question) answer {
	iv.t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(iv.t.Context(), q.method, iv.s.url+q.url, body)
	if err != nil {
		iv.t.Fatal(err)
	}
	if iv.key != "" {
		r.Header.Set("Authorization", "Bearer "+iv.key)
	}
	maps.Copy(r.Header, q.header)
	resp, err := iv.s.http.Do(r)
	if err != nil {
		iv.t.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.stream = resp.Header.Get("X-Accel-Buffering") == "no" && q.method != http.MethodHead || a.mediaType() == "text/event-stream"; a.stream {
		a.body, err = bufio.NewReader(resp.Body).ReadBytes('\n')
		if a.mediaType() == "text/html" || a.mediaType() == "text/plain" {
			a.body, err = nil, nil // the first bytes are not a line
		}
	} else {
		a.body, err = io.ReadAll(resp.Body)
	}
	if err != nil && err != io.EOF {
		iv.t.Fatalf("%s %s: read the body: %v", q.method, q.url, err)
	}
	return a
}

// check compares an answer with the document.
func (iv *interview) check(o operation, a answer) error {
	ref := o.Responses.Value(strconv.Itoa(a.status))
	if ref == nil {
		return fmt.Errorf("the status is not in the document")
	}
	if err := checkHeaders(ref.Value.Headers, a); err != nil {
		return err
	}
	media := ref.Value.Content.Get(a.mediaType())
	switch {
	case o.method == http.MethodHead:
		return nil // a body that is not there has a type nevertheless
	case len(ref.Value.Content) == 0 && len(a.body) == 0:
		return nil
	case media == nil:
		return fmt.Errorf("the type %q is not in the document", a.header.Get("Content-Type"))
	}
	if a.mediaType() == "application/x-ndjson" {
		return iv.checkLines(a)
	}
	if media.Schema == nil || a.stream {
		return nil
	}
	return checkBody(media.Schema.Value, a)
}

func checkBody(s *openapi3.Schema, a answer) error {
	var value any = string(a.body)
	if strings.HasSuffix(a.mediaType(), "json") {
		if err := json.Unmarshal(a.body, &value); err != nil {
			return err
		}
	}
	if p := a.problem(); a.mediaType() == "application/problem+json" && p.Status != a.status {
		return fmt.Errorf("the problem says status %d", p.Status)
	}
	return fits(s, value)
}

// checkLines compares each line with the schema of lines.
func (iv *interview) checkLines(a answer) error {
	for line := range strings.Lines(string(a.body)) {
		var value any
		if err := json.Unmarshal([]byte(line), &value); err != nil {
			return err
		}
		if err := fits(iv.doc.Components.Schemas["Line"].Value, value); err != nil {
			return err
		}
	}
	return nil
}

// general are headers that the document does not speak of.
var general = []string{"Accept-Ranges", "Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type",
	"Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Date", "Permissions-Policy", "Referrer-Policy", "Transfer-Encoding", "Vary",
	"X-Accel-Buffering", "X-Content-Type-Options", "X-Frame-Options"}

func checkHeaders(documented openapi3.Headers, a answer) error {
	for name, ref := range documented {
		text := a.header.Get(name)
		switch {
		case text == "" && ref.Value.Required:
			return fmt.Errorf("the header %s is missing", name)
		case text != "":
			if err := fits(ref.Value.Schema.Value, typed(ref.Value.Schema.Value, text)); err != nil {
				return fmt.Errorf("the header %s: %v", name, err)
			}
		}
	}
	for name := range a.header {
		in := func(s string) bool { return strings.EqualFold(s, name) }
		if !slices.ContainsFunc(general, in) && !slices.ContainsFunc(slices.Collect(maps.Keys(documented)), in) {
			return fmt.Errorf("the header %s, %q, is not in the document", name, a.header[name])
		}
	}
	return nil
}
