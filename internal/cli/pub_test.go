package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// A sink keeps what is published to it, and refuses data of more than limit bytes.
type sink struct {
	limit int

	mu    sync.Mutex
	lines []string
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.Method != "POST" || r.URL.RequestURI() != "/v1/events" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Idempotency-Key") == "" {
		http.Error(w, fmt.Sprint("unexpected ", r.Method, r.URL, r.Header), http.StatusTeapot)
		return
	}
	before := len(s.lines)
	for i, text := range bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		if len(text) == 0 {
			continue
		}
		var m struct{ Data any }
		if err := json.Unmarshal(text, &m); err != nil {
			s.refuse(w, i, before, "bad_json", err.Error())
			return
		}
		if data, _ := m.Data.(string); s.limit > 0 && len(data) > s.limit {
			s.refuse(w, i, before, "too_large", fmt.Sprintf("message is %d bytes, limit %d", len(data), s.limit))
			return
		}
		s.lines = append(s.lines, string(text))
	}
	fmt.Fprintf(w, `{"published":%d,"last_id":"e-%d"}`, len(s.lines)-before, len(s.lines))
}

// refuse refuses line i, from 0, of a request before which so many were kept.
func (s *sink) refuse(w http.ResponseWriter, i, before int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"status":400,"code":%q,"detail":%q,"line":%d,"published":%d,"last_id":"e-%d"}`, code, detail, i+1, len(s.lines)-before, len(s.lines))
}

// kept returns the lines published so far.
func (s *sink) kept() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// pubTo runs pub against s and returns the result, with the time taken cut off.
func pubTo(t *testing.T, s *sink, in string, args ...string) result {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	r := call{args: append([]string{"pub", "--server", server.URL}, args...), in: in}.run()
	if before, _, found := strings.Cut(r.err, " in "); found {
		r.err = before + "\n"
	}
	return r
}

func TestPubSendsOneMessage(t *testing.T) {
	for _, c := range []struct {
		args []string
		line string
		out  string
	}{
		{[]string{"a/b", "hello"}, `{"topic":"a/b","data":"hello"}`, "e-1\n"},
		{[]string{"a", ""}, `{"topic":"a","data":""}`, "e-1\n"},
		{[]string{"a", "<&>\n\"ü😀"}, `{"topic":"a","data":"<&>\n\"ü😀"}`, "e-1\n"},
		{[]string{"a", "x\xffy"}, `{"topic":"a","base64":true,"data":"eP95"}`, "e-1\n"},
		{[]string{"a", "x", "--type", "tick", "--id", "7", "--key", "k"}, `{"topic":"a","type":"tick","id":"7","key":"k","data":"x"}`, "e-1\n"},
		{[]string{"a", "x", "--json"}, `{"topic":"a","data":"x"}`, "{\"id\":\"e-1\"}\n"},
		{[]string{"a", "x", "--quiet"}, `{"topic":"a","data":"x"}`, ""},
	} {
		s := new(sink)
		expect(t, c.args, pubTo(t, s, "not read", c.args...), result{0, c.out, ""})
		if !reflect.DeepEqual(s.kept(), []string{c.line}) {
			t.Errorf("pub %q sends %q, want %s", c.args, s.kept(), c.line)
		}
	}
}

func TestPubSendsEachLineAsItIs(t *testing.T) {
	s := new(sink)
	got := pubTo(t, s, "one\r\n\n  two\t\nx\xff\rz\nlast", "logs", "--type", "line")
	expect(t, nil, got, result{0, "", "weir: pub: 5 published\n"})
	want := []string{
		`{"topic":"logs","type":"line","data":"one"}`,
		`{"topic":"logs","type":"line","data":""}`,
		`{"topic":"logs","type":"line","data":"  two\t"}`,
		`{"topic":"logs","type":"line","base64":true,"data":"eP8Neg=="}`,
		`{"topic":"logs","type":"line","data":"last"}`,
	}
	if !reflect.DeepEqual(s.kept(), want) {
		t.Errorf("pub sends\n%s\nwant\n%s", strings.Join(s.kept(), "\n"), strings.Join(want, "\n"))
	}
}

func TestPubOfNothingIsFine(t *testing.T) {
	expect(t, nil, pubTo(t, new(sink), "", "logs"), result{0, "", "weir: pub: 0 published\n"})
	expect(t, nil, pubTo(t, new(sink), "", "logs", "--quiet"), result{0, "", ""})
}

func TestPubKeepsOrderOverManyBatches(t *testing.T) {
	var in strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintln(&in, i)
	}
	s := new(sink)
	expect(t, nil, pubTo(t, s, in.String(), "logs"), result{0, "", fmt.Sprintf("weir: pub: %d published\n", n)})
	for i, text := range s.kept() {
		if want := fmt.Sprintf(`{"topic":"logs","data":"%d"}`, i); text != want {
			t.Fatalf("line %d is %s, want %s", i, text, want)
		}
	}
	if got := len(s.kept()); got != n {
		t.Errorf("%d lines arrived, want %d", got, n)
	}
}

func TestPubTakesJSONObjects(t *testing.T) {
	s := new(sink)
	in := "{\"data\":{\"n\":1}}\n\n {\"topic\":\"b\",\"data\":\"x\",\"type\":\"mine\"}\n{\"topics\":[\"c\",\"d\"],\"data\":1}\n"
	got := pubTo(t, s, in, "a", "--json", "--type", "yours")
	expect(t, nil, got, result{0, `{"last_id":"e-3","published":3,"refused":0}` + "\n", ""})
	want := []string{
		`{"data":{"n":1},"topic":"a","type":"yours"}`,
		`{"topic":"b","data":"x","type":"mine"}`,
		`{"data":1,"topics":["c","d"],"type":"yours"}`,
	}
	if !reflect.DeepEqual(s.kept(), want) {
		t.Errorf("pub sends\n%s\nwant\n%s", strings.Join(s.kept(), "\n"), strings.Join(want, "\n"))
	}
}

func TestPubStopsAtALineThatIsNoObject(t *testing.T) {
	for _, bad := range []string{"hello", "[1]", "null", "{", `"x"`} {
		s := new(sink)
		got := pubTo(t, s, "{\"topic\":\"a\",\"data\":1}\n\n"+bad+"\n{\"topic\":\"a\",\"data\":2}\n", "--json")
		expect(t, []string{bad}, got, result{1, `{"last_id":"e-1","published":1,"refused":0}` + "\n", "weir: pub: line 3: not a JSON object\n"})
		if len(s.kept()) != 1 {
			t.Errorf("after the bad line %q %q is kept, want the line before it", bad, s.kept())
		}
	}
}

func TestPubLeavesOutLinesThatAreTooLarge(t *testing.T) {
	s := &sink{limit: 5}
	got := pubTo(t, s, "one\ntoo large\ntwo\n123456\n", "logs")
	expect(t, nil, got, result{1, "", `weir: pub: line 2: too_large: message is 9 bytes, limit 5; it is left out
weir: pub: line 4: too_large: message is 6 bytes, limit 5; it is left out
weir: pub: 2 published
`})
	want := []string{`{"topic":"logs","data":"one"}`, `{"topic":"logs","data":"two"}`}
	if !reflect.DeepEqual(s.kept(), want) {
		t.Errorf("kept is %q, want %q", s.kept(), want)
	}
}

func TestPubNamesTheLineOfItsInput(t *testing.T) {
	s := &sink{limit: 5}
	in := strings.Repeat("{\"topic\":\"a\",\"data\":\"ok\"}\n", 3000) + "{\"topic\":\"a\",\"data\":\"too large\"}\n"
	got := pubTo(t, s, in, "--json")
	expect(t, nil, got, result{1, `{"last_id":"e-3000","published":3000,"refused":0}` + "\n", "weir: pub: line 3001: too_large: message is 9 bytes, limit 5\n"})
}

func TestPubTalksToASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := new(sink)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	server.Start()
	defer server.Close()
	args := []string{"pub", "a", "b", "--server", "unix:" + path}
	expect(t, args, weir(args...), result{0, "e-1\n", ""})
}
