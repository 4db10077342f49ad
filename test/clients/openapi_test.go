package clients_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/weirstream/weir/internal/openapi"
)

// TestServerDoesWhatItsDescriptionSays asks a server everything that is in
// internal/openapi/openapi.yaml, with values that the document allows and with others.
// Every answer has to be in the document: its status, headers, type and body.
func TestServerDoesWhatItsDescriptionSays(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"open": "", "with access control": fullKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iv := newInterview(t, key)
			for path, item := range iv.doc.Paths.Map() {
				for _, op := range item.Operations() {
					iv.askOperation(iv.operation(op.OperationID))
				}
				iv.askMethods(path, item)
			}
			iv.askSpecial()
			want := []string{"200", "201", "204", "304", "400", "401", "403", "404", "405", "406", "409", "410", "413", "415", "501"}
			for _, status := range want {
				if !iv.seen[status] {
					t.Errorf("no answer had the status %s: the questions are too few", status)
				}
			}
		})
	}
}

// TestDescriptionOfLinesIsThatOfTheServer sends lines to publish that are like the
// example of the document, but for one field.
func TestDescriptionOfLinesIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	iv := newInterview(t, "")
	schema := iv.doc.Components.Schemas["Message"].Value
	example := schema.Examples[0].(map[string]any)
	refused := 0
	for name := range schema.Properties {
		if _, ok := example[name]; !ok {
			t.Errorf("the example of Message lacks %s", name)
		}
		for _, value := range []any{"x", "", "a\nb", strings.Repeat("a", 300), 1.0, -1.0, 1e9, 1.5, true, []any{}, []any{"a"}, []any{1.0}, map[string]any{}} {
			line := maps.Clone(example)
			line[name] = value
			if fits(schema, line) != nil {
				refused++
				iv.askLine(line, 4)
			} else {
				iv.askLine(line, 0) // there are rules that a schema cannot tell
			}
		}
	}
	if refused < 40 {
		t.Errorf("the document refuses %d lines only", refused)
	}
	iv.askLine(example, 2)
	other := maps.Clone(example)
	other["nonsense"] = 1
	iv.askLine(other, 4)
	iv.askLine(map[string]any{"data": "without a topic"}, 4)
}

// special are questions whose answer depends on more than one value.
var special = []struct {
	id     string // of the operation
	given  values
	status int
}{
	{"publish", values{"Origin header": {"https://elsewhere.example"}}, 403},
	{"publishLines", values{"Origin header": {"https://elsewhere.example"}}, 403},
	{"forget", values{"Origin header": {"https://elsewhere.example"}}, 403},
	{"createStream", values{"Origin header": {"https://elsewhere.example"}}, 403},
	{"createStream", values{"stream path": {"chat/6"}, "Content-Type header": {"application/json"}, " body": {"[]"}}, 409},
	{"createStream", values{"stream path": {"chat/6"}}, 200},
	{"appendToStream", values{"Content-Type header": {"application/json"}, " body": {"[1]"}}, 409},
	{"appendToStream", values{"Producer-Id header": {"p"}, "Producer-Epoch header": {"0"}, "Producer-Seq header": {"5"}}, 409},
	{"appendToStream", values{"Producer-Id header": {"p"}, "Producer-Epoch header": {"0"}, "Producer-Seq header": {"0"}}, 200},
	{"endConnections", values{"user query": {""}}, 400},
	{"endConnections", values{"user query": {"alice"}}, 200},
	{"endConnections", values{"user query": {"alice"}, "topic query": {"a/**"}, "id query": {"17"}, "token query": {"7f3a"}}, 200},
	{"endConnections", values{"user query": {"alice"}, "topic query": {"a"}, "revoke query": {"1h"}}, 400},
	{"readStream", values{"offset query": {"00000000000000000001_aaaaaaaa"}}, 410},
	{"readStream", values{"offset query": {"now"}, "live query": {"long-poll"}}, 204},
	{"readStream", values{"stream path": {"none"}}, 404},
	{"readStream", values{"stream path": {"__ds/x"}}, 501},
}

func (iv *interview) askSpecial() {
	iv.ask(iv.operation("issueTicket"), values{"Authorization header": nil}, 4)
	for _, c := range special {
		if a := iv.ask(iv.operation(c.id), c.given, 0); a.status != c.status {
			iv.t.Errorf("%s %q: %d %s, want %d", c.id, c.given, a.status, a.body, c.status)
		}
	}
	read := iv.operation("readStream")
	read.path = strings.Replace(read.path, "{stream}", "chat/6", 1) // which stays as it is
	tag := iv.ask(read, nil, 2).header.Get("ETag")
	iv.ask(read, values{"If-None-Match header": {tag}}, 3)
	query := iv.operation("publishLines") // what the document says of a form in a POST
	query.method = "QUERY"
	iv.ask(query, values{"Content-Type header": {"application/x-www-form-urlencoded"}, " body": {"topic=orders/17&since=start&wait=50ms"}}, 2)
}

// operation finds an operation by its ID.
func (iv *interview) operation(id string) operation {
	iv.t.Helper()
	for path, item := range iv.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == id {
				return operation{path: path, method: method, params: append(slices.Clone(item.Parameters), op.Parameters...), Operation: op}
			}
		}
	}
	iv.t.Fatalf("the document has no operation %s", id)
	return operation{}
}

// An operation is a method of a path.
type operation struct {
	path, method string
	params       openapi3.Parameters
	*openapi3.Operation
}

func (o *operation) String() string { return o.method + " " + o.path }

// strict reports whether the operation refuses what it does not know.
func (o *operation) strict() bool {
	return slices.Contains(o.Tags, "topics") || slices.Contains(o.Tags, "access")
}

// An interview asks one server. It belongs to one goroutine.
type interview struct {
	t    *testing.T
	s    *server
	doc  *openapi3.T
	key  string          // API key; "": there is no access control
	hash string          // of the page's files
	seen map[string]bool // statuses
}

// API keys of servers with access control.
const (
	fullKey = "everything-6f1f6d3c0a5b4f0e9c7d8b3a"
	poorKey = "nothing-here-2b8a4f9d1e7c4a63b5f0"
	slowKey = "not-much-9d3e5a7c1b4f4e2d8a6c0f1d7e"
)

// withKeys returns the flags of a server that knows the keys.
func withKeys(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	lines := "full:" + fullKey + " publish=**,weir/** subscribe=**,weir/**\n" +
		"poor:" + poorKey + " publish=nothing subscribe=nothing\n" +
		"slow:" + slowKey + " publish=**,weir/** subscribe=**,weir/** rate=1 streams=1\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--access.api-keys-file", file}
}

// newInterview starts a server, with access control if key is not empty.
func newInterview(t *testing.T, key string) *interview {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte("presence: {topics: orders/**}\nfeeds: {shop: {webhook: open, topic: hooks}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--config", file, "--hub.max-message", "2KiB", "--history.max-messages", "20", "--durable-streams-wait", "100ms"}
	if key != "" {
		args = append(args, withKeys(t)...)
	}
	iv := &interview{t: t, s: serve(t, args...), doc: readDescription(t), key: key, seen: make(map[string]bool)}
	page := iv.send(question{method: "GET", url: "/"})
	iv.hash = string(regexp.MustCompile(`assets/([0-9a-f]{16})/app\.js`).FindSubmatch(page.body)[1])
	return iv
}

func readDescription(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// askOperation asks with the values of the document, then with each parameter
// alone, and then with what is wrong.
func (iv *interview) askOperation(o operation) {
	if slices.Contains(o.Tags, "admin") {
		return // on another listener
	}
	iv.ask(o, nil, iv.fine(o))
	for _, p := range o.params {
		good := examples(p.Value)
		for _, text := range good {
			iv.ask(o, values{p.Value.Name + " " + p.Value.In: {text}}, iv.fine(o))
		}
		for _, text := range strange(o, p.Value) {
			want := 0
			if fits(p.Value.Schema.Value, typed(p.Value.Schema.Value, text)) != nil && o.method != "OPTIONS" {
				want = 4
			}
			iv.ask(o, values{p.Value.Name + " " + p.Value.In: {text}}, want)
		}
	}
	iv.askTypes(o)
	iv.askBodies(o)
	iv.askUnknown(o)
	iv.askWithoutRights(o)
}

// fine is the class of the status when all is well.
func (iv *interview) fine(o operation) int {
	if iv.key == "" && o.OperationID == "issueTicket" || o.OperationID == "endConnections" {
		return 0 // there are no tickets; it depends on several parameters
	}
	return 2
}

// askWithoutRights asks as nobody, and as somebody who may do nothing here.
func (iv *interview) askWithoutRights(o operation) {
	if iv.key == "" || o.method == "OPTIONS" || o.Security != nil && len(*o.Security) == 0 {
		return
	}
	if a := iv.ask(o, values{"Authorization header": nil}, 4); a.status != http.StatusUnauthorized {
		iv.t.Errorf("%v without a key: status %d, want 401", &o, a.status)
	}
	if a := iv.ask(o, values{"Authorization header": {"Bearer " + poorKey}}, 0); (a.status == http.StatusForbidden) == (o.OperationID == "issueTicket") {
		iv.t.Errorf("%v with a key that allows nothing: status %d", &o, a.status)
	}
}

// askTypes asks for each type of the answer.
func (iv *interview) askTypes(o operation) {
	content := o.Responses.Value("200")
	if content == nil || o.Responses.Value("406") == nil || o.RequestBody != nil {
		return
	}
	for name := range content.Value.Content {
		a := iv.ask(o, values{"Accept header": {name}, "since query": {"start"}}, 2)
		if got := a.mediaType(); got != name && o.method != "HEAD" {
			iv.t.Errorf("%v: the type of the answer to Accept: %s is %q", &o, name, got)
		}
	}
	iv.ask(o, values{"Accept header": {"image/png"}}, 4)
}

// askUnknown gives a parameter that the document does not have. The refusal names
// all that there are.
func (iv *interview) askUnknown(o operation) {
	if !o.strict() || o.method == "OPTIONS" {
		return
	}
	a := iv.ask(o, values{"nonsense query": {"1"}}, 4)
	if o.method == "HEAD" {
		return // without a body
	}
	var known []string
	for _, p := range o.params {
		if p.Value.In == "query" {
			known = append(known, p.Value.Name)
		}
	}
	_, list, _ := strings.Cut(a.problem().Detail, "known are ")
	told := slices.DeleteFunc(strings.Split(list, ", "), func(name string) bool { return name == "" || name == "ticket" })
	slices.Sort(known)
	slices.Sort(told)
	if !slices.Equal(known, told) {
		iv.t.Errorf("%v: the server knows the parameters %q, the document %q", &o, told, known)
	}
}

// askMethods asks with methods that the document does not have.
func (iv *interview) askMethods(path string, item *openapi3.PathItem) {
	o := operation{path: path, Operation: item.Get}
	for _, op := range item.Operations() {
		o.Operation = op
	}
	if slices.Contains(o.Tags, "server") || slices.Contains(o.Tags, "admin") {
		return
	}
	o.params = append(slices.Clone(item.Parameters), o.Parameters...)
	documented := slices.Sorted(maps.Keys(item.Operations()))
	switch {
	case path == "/v1/events":
		documented = append(documented, "QUERY") // which OpenAPI 3.1 cannot say
	case slices.Contains(o.Tags, "page"):
		documented = append(documented, "HEAD")
	}
	slices.Sort(documented)
	a := iv.send(iv.question(o, "PATCH", nil))
	iv.seen[strconv.Itoa(a.status)] = true
	allowed := strings.Split(a.header.Get("Allow"), ", ")
	slices.Sort(allowed)
	if a.status != http.StatusMethodNotAllowed || a.problem().Code != "method_not_allowed" || !slices.Equal(allowed, documented) {
		iv.t.Errorf("PATCH %s: %d %s, allowed are %q; the document has %q", path, a.status, a.problem().Code, allowed, documented)
	}
}

// askBodies sends each type of body that the document has, and others.
func (iv *interview) askBodies(o operation) {
	if o.RequestBody == nil {
		return
	}
	content := o.RequestBody.Value.Content
	for name, media := range content {
		body := bodyText(name, media.Example)
		if name == "*/*" {
			name = "text/plain"
		}
		iv.ask(o, values{"Content-Type header": {name}, " body": {body}}, 2)
		iv.ask(o, values{"Content-Type header": {name}, " body": {body}, "Content-Encoding header": {"gzip"}}, 4)
		if !strings.Contains(name, "form") {
			iv.ask(o, values{"Content-Type header": {name}, " body": {`{"topic":"a","data":"` + strings.Repeat("x", 2049) + `"}`}}, 4)
		}
	}
	if content["*/*"] == nil {
		iv.ask(o, values{"Content-Type header": {"image/png"}, " body": {"x"}}, 4)
	}
}

// bodyText writes an example as its media type wants.
func bodyText(mediaType string, example any) string {
	if text, ok := example.(string); ok {
		return text
	}
	if strings.Contains(mediaType, "form") {
		form := make(url.Values)
		for name, value := range example.(map[string]any) {
			form[name] = texts(value)
		}
		return form.Encode()
	}
	text, err := json.Marshal(example)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// texts writes a value, or each of a list, as it is in a query.
func texts(value any) []string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = fmt.Sprint(v)
		if f, ok := v.(float64); ok {
			all[i] = strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	return all
}

// askLine publishes a line.
func (iv *interview) askLine(line map[string]any, class int) {
	o := operation{path: "/v1/events", method: "POST", Operation: iv.doc.Paths.Value("/v1/events").Post}
	iv.ask(o, values{"Content-Type header": {"application/x-ndjson"}, " body": {bodyText("", line)}}, class)
}
