package attack_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// splices are what forged fields, headers, chunks and lines are made of.
var splices = []string{"\r", "\n", "\r\n", "\n\n", "\r\n\r\n", "\x00", "\ufeff", "\u0085", "\u2028", "\u2029", "\xff", "\xc3", "\x1b[31m", "\x7f", "\t", " ",
	":", ": ", "data: forged", "id: forged", "event: weir.gap", "retry: 1", "\n\ndata: forged\n\n", "0\r\n\r\n", "5\r\nforge\r\n", "\r\nSet-Cookie: forged=1",
	"HTTP/1.1 200 OK\r\n\r\n", `"`, `\`, `","topic":"forged`, "{", "}", "<script>", "&", "%0d%0a", "%0a", "time=1 level=INFO msg=request", "\nweir_forged 1\n",
	`{"weir.gap":{}}`, "weir.gap {}", "é", "🌊", "=", "a", "b"}

func spliced(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteString(splices[r.IntN(len(splices))])
	}
	return b.String()
}

// A publication is a message that was accepted.
type publication struct{ id, topic, kind, key, data string }

// published sends hostile messages in both ways to publish and returns what was accepted.
// Those behind "f/" come from JSON lines.
func published(t *testing.T, s *server, n int) (all []publication, requests int) {
	t.Helper()
	random := rand.New(rand.NewPCG(9, 10))
	for i := range n {
		p := publication{spliced(random), "f/" + spliced(random), spliced(random), spliced(random), spliced(random)}
		if i%3 > 0 { // mostly one of the values is what is hostile
			p = publication{topic: "f/a", data: p.data, kind: p.kind}
		}
		key := fmt.Sprint(i, strings.Repeat(spliced(random), i%5/4))
		status, answer := 0, ""
		if i%2 == 0 {
			q := url.Values{"type": {p.kind}, "id": {p.id}, "key": {p.key}, "idempotency_key": {key}}
			status, answer = s.strictly(t, "POST", "/v1/topics/"+url.PathEscape(p.topic)+"?"+q.Encode(), p.data)
		} else {
			if !utf8.ValidString(p.data + p.topic + p.id + p.kind + p.key + key) {
				p.data, p.topic, p.id, p.kind, p.key, key = strings.ToValidUTF8(p.data, "?"), strings.ToValidUTF8(p.topic, "?"), strings.ToValidUTF8(p.id, "?"), strings.ToValidUTF8(p.kind, "?"), strings.ToValidUTF8(p.key, "?"), strings.ToValidUTF8(key, "?")
			}
			line, err := json.Marshal(map[string]string{"topic": p.topic, "id": p.id, "type": p.kind, "key": p.key, "data": p.data, "idempotency_key": key})
			if err != nil {
				t.Fatal(err)
			}
			status, answer = s.strictly(t, "POST", "/v1/events", string(line))
		}
		requests++
		var said struct {
			ID     string
			LastID string `json:"last_id"`
		}
		if err := json.Unmarshal([]byte(answer), &said); err != nil {
			t.Fatalf("%q: answered with %q: %v", p, answer, err)
		}
		if status < 300 {
			p.id = said.ID + said.LastID
			all = append(all, p)
		} else if status != 400 {
			t.Errorf("%q: %d %q", p, status, answer)
		}
	}
	return all, requests
}

// strictly sends a request on a connection of its own. The answer must have no header but
// those that weir sets.
func (s *server) strictly(t *testing.T, method, target, body string) (int, string) {
	t.Helper()
	w := s.dial(t, "tcp")
	w.send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nReferer: http://x/\"\r\nUser-Agent: a\" time=1 msg=request\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body))
	raw, err := w.rest()
	all, err2 := replies(raw, method == "HEAD")
	if err != nil || err2 != nil || len(all) != 1 {
		t.Fatalf("%s %q: answered with %q: %v, %v", method, target, raw, err, err2)
	}
	for name, values := range all[0].header {
		if !slices.Contains(knownHeaders, name) || len(values) != 1 {
			t.Errorf("%s %q: answered with header %q: %q", method, target, name, values)
		}
	}
	w.Close()
	return all[0].status, all[0].body
}

var knownHeaders = []string{"cache-control", "connection", "content-length", "content-type", "date", "location", "vary", "x-content-type-options",
	"weir-messages", "weir-bytes", "weir-oldest-id", "weir-newest-id", "weir-last-event-id", "idempotency-replayed", "transfer-encoding", "x-accel-buffering"}

// TestNobodyForgesWhatReadersGet publishes hostile values and reads them back in each
// form, both live and from history. Then come the log and the metrics.
func TestNobodyForgesWhatReadersGet(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--page=false", "--log.access", "--log.format", format, "--log.level", "debug")
			var live []*wire
			for _, f := range forms {
				w := s.dial(t, "tcp")
				w.send(get("/v1/topics/**?"+f.query, "Accept: "+f.accept))
				w.until("\r\n\r\n")
				live = append(live, w)
			}
			all, requests := published(t, s, 600)
			if len(all) < 200 {
				t.Fatalf("only %d messages were accepted", len(all))
			}
			s.publish("f/a", "the end.")
			all = append(all, publication{topic: "f/a", data: "the end."})
			for i, f := range forms {
				f.check(t, "live", live[i].streamed("the end."), all)
				status, body := s.strictlyGet(t, "/v1/topics/**?since=start&wait=0s&"+f.query, f.accept)
				if status != 200 {
					t.Errorf("%s: %d", f.name, status)
				}
				f.check(t, "history", body, all)
				live[i].Close()
			}
			for _, p := range all {
				if strings.Contains(p.topic, "%") {
					continue
				}
				s.strictly(t, "HEAD", "/v1/topics/"+url.PathEscape(p.topic), "")
				requests++
			}
			s.checkLog(t, format, requests+1+2*len(forms))
			s.checkMetrics(t)
		})
	}
}

func (s *server) strictlyGet(t *testing.T, target, accept string) (int, string) {
	t.Helper()
	w := s.dial(t, "tcp")
	w.send(get(target, "Accept: "+accept, "Connection: close"))
	raw, err := w.rest()
	all, err2 := replies(raw, false)
	if err != nil || err2 != nil || len(all) != 1 {
		t.Fatalf("%q: %v, %v", target, err, err2)
	}
	return all[0].status, all[0].body
}

// streamed reads the body of a stream, up to the whole chunk that has a text.
func (w *wire) streamed(text string) string {
	w.t.Helper()
	for {
		body, _, _ := cutChunks(w.got)
		if strings.Contains(string(body), text) {
			return string(body)
		}
		if err := w.read(soon); err != nil {
			w.t.Fatalf("the stream has no %q: %v", text, err)
		}
	}
}

// forms are those in which a reader can get messages.
var forms = []struct {
	name, query, accept string
	check               func(t *testing.T, when, body string, want []publication)
}{
	{"events", "", "text/event-stream", checkEvents},
	{"envelope", "envelope=true", "text/event-stream", checkEnvelopes},
	{"lines", "", "application/x-ndjson", checkLines},
	{"text", "", "text/plain", checkText},
}

// sameLines is data as it comes through an event stream.
func sameLines(data string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
}

func checkEvents(t *testing.T, when, body string, want []publication) {
	t.Helper()
	got, err := parseEvents(body)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%s: %d events, want %d: %v", when, len(got), len(want), err)
	}
	for i, p := range want {
		data := sameLines(p.data)
		if !utf8.ValidString(data) {
			data = "data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString([]byte(p.data))
		}
		if e := got[i]; e.kind != p.kind || e.data != data || p.id != "" && e.id != p.id {
			t.Errorf("%s: event %d is %q, published was %q", when, i, e, p)
		}
	}
}

func checkEnvelopes(t *testing.T, when, body string, want []publication) {
	t.Helper()
	got, err := parseEvents(body)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%s: %d envelopes, want %d: %v", when, len(got), len(want), err)
	}
	for i, p := range want {
		m, err := parseLine(got[i].data)
		if err != nil || got[i].kind != "" {
			t.Fatalf("%s: envelope %q: %v", when, got[i], err)
		}
		checkMessage(t, when, m, p)
	}
}

func checkLines(t *testing.T, when, body string, want []publication) {
	t.Helper()
	i := 0
	for line := range strings.Lines(body) {
		m, err := parseLine(line)
		if err != nil {
			t.Fatalf("%s: line %q: %v", when, line, err)
		}
		if m.Topic == "" {
			continue // where the stream begins
		}
		if i == len(want) {
			t.Fatalf("%s: behind the last line came %q", when, line)
		}
		checkMessage(t, when, m, want[i])
		i++
	}
	if i != len(want) {
		t.Errorf("%s: %d lines, want %d", when, i, len(want))
	}
}

func checkMessage(t *testing.T, when string, m message, p publication) {
	t.Helper()
	if m.Base64 {
		data, err := base64.StdEncoding.DecodeString(m.Data)
		if err != nil {
			t.Errorf("%s: %+v: %v", when, m, err)
		}
		m.Data = string(data)
	}
	if m.Topic != p.topic || m.Type != p.kind || m.Key != p.key || m.Data != p.data || p.id != "" && m.ID != p.id || m.Gap != nil || m.Drain != nil {
		t.Errorf("%s: got %+v, published was %+v", when, m, p)
	}
}

// checkText: a message is its data and a line feed, and nothing else is there.
func checkText(t *testing.T, when, body string, want []publication) {
	t.Helper()
	var all strings.Builder
	for _, p := range want {
		all.WriteString(p.data + "\n")
	}
	if body = strings.TrimPrefix(body, "\n"); body != all.String() {
		t.Errorf("%s: the text is not what was published", when)
	}
}

// checkLog waits for a line of each request and looks at all lines.
func (s *server) checkLog(t *testing.T, format string, requests int) {
	t.Helper()
	pattern := map[string]string{"text": " level=INFO msg=", "json": `"msg":"`}[format]
	count := func(text string) int { // as a program that looks for lines does
		return strings.Count(text, pattern+"request") + strings.Count(text, pattern+"stream")
	}
	await(t, "the log", func() error {
		if n := count(s.Err.String()); n < requests {
			return fmt.Errorf("%d lines of %d requests", n, requests)
		}
		return nil
	})
	text := s.Err.String()
	text = text[:strings.LastIndexByte(text, '\n')+1]
	if n := parseLog(t, text, format); n != count(text) || n != requests {
		t.Errorf("the log has %d lines of requests, %d by their looks, want %d", n, count(text), requests)
	}
}

func (s *server) checkMetrics(t *testing.T) {
	t.Helper()
	status, text := s.ask(http.MethodGet, "/metrics", "*/*", "")
	if status != 200 || strings.Contains(text, "forged") || strings.Contains(text, "f/a") {
		t.Errorf("/metrics: %d, with a word of a client", status)
	}
	for line := range strings.Lines(text) {
		if !metricLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("/metrics has the line %q", line)
		}
	}
}
