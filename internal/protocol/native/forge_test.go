package native_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/sse"
)

// pieces are what forged fields, headers and lines are made of.
var pieces = []string{"\n", "\r", "\r\n", "\n\n", "\x00", ":", ": ", " ", "data:", "data: x", "id: 9", "event: weir.gap", "retry: 1", "\ufeff",
	"\u0085", "\u2028", "\u2029", "é", "🌊", "\xff", "\xc3", "{", "}", "\"", "\\", "<script>", "&", "0\r\n\r\n", "Set-Cookie: a=b", "%0d%0a", "a", "weir.gap {}"}

func forged(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestNoPublisherForgesAField publishes random hostile messages and reads them back
// in each form: every message that was accepted comes out as one message with
// exactly its own fields, and nothing else comes out.
func TestNoPublisherForgesAField(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := serve(t, hub.Options{})
	var accepted []hub.Message
	var ids []string
	for range 3000 {
		m := hub.Message{Type: forged(random), ID: forged(random), Key: forged(random), Data: []byte(forged(random))}
		q := url.Values{"type": {m.Type}, "id": {m.ID}, "key": {m.Key}}
		a := s.ask(t, request{"POST", "/v1/topics/a?" + q.Encode(), nil, string(m.Data)})
		if bad := strings.ContainsAny(m.Type+m.ID, "\r\n\x00") || !utf8.ValidString(m.Type+m.ID+m.Key) || strings.HasPrefix(m.Type, "weir."); bad != (a.status == 400) {
			t.Fatalf("type %q, id %q, key %q: %d %s", m.Type, m.ID, m.Key, a.status, a.body)
		}
		if strings.ContainsAny(a.Detail, "\r\n\x00") || len(a.header) > 6 {
			t.Fatalf("type %q, id %q, key %q: the answer is %v %q", m.Type, m.ID, m.Key, a.header, a.Detail)
		}
		if a.status == 201 {
			var created struct{ ID string }
			if err := json.Unmarshal([]byte(a.body), &created); err != nil || m.ID != "" && created.ID != m.ID {
				t.Fatalf("id %q is answered with %s", m.ID, a.body)
			}
			accepted, ids = append(accepted, m), append(ids, created.ID)
		}
	}
	if len(accepted) < 300 {
		t.Fatalf("only %d messages were accepted", len(accepted))
	}
	t.Run("events", func(t *testing.T) { readEvents(t, s, accepted, ids) })
	t.Run("envelope", func(t *testing.T) { readEnvelopes(t, s, accepted, ids) })
	t.Run("lines", func(t *testing.T) { readLines(t, s, accepted, ids) })
}

// readEvents compares events with messages.
func readEvents(t *testing.T, s *server, want []hub.Message, ids []string) {
	r := sse.NewReader(s.open(t, request{"GET", "/v1/topics/a?since=start", nil, ""}).Body)
	if e, err := r.Next(); err != nil || e.Data != nil {
		t.Fatalf("first block: %+v, %v", e, err)
	}
	for i, m := range want {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(m.Data)) // as the format demands
		if !utf8.Valid(m.Data) {
			data = "data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString(m.Data)
		}
		if e.Type != m.Type || e.ID != ids[i] || string(e.Data) != data || e.Retry != 0 || e.ResetID {
			t.Fatalf("event %d is %+v with data %q, published was %+v with data %q", i, e, e.Data, m, m.Data)
		}
	}
	atEnd(t, s, func() (string, error) { e, err := r.Next(); return e.Type + string(e.Data), err })
}

// readEnvelopes compares the objects in events with messages.
func readEnvelopes(t *testing.T, s *server, want []hub.Message, ids []string) {
	r := sse.NewReader(s.open(t, request{"GET", "/v1/topics/a?since=start&envelope=true", nil, ""}).Body)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for i, m := range want {
		e, err := r.Next()
		if err != nil || e.Type != "" || e.ID != ids[i] {
			t.Fatalf("event %d: %+v, %v", i, e, err)
		}
		compareObject(t, string(e.Data), m, ids[i])
	}
	atEnd(t, s, func() (string, error) { e, err := r.Next(); return e.Type + string(e.Data), err })
}

// readLines compares JSON lines with messages.
func readLines(t *testing.T, s *server, want []hub.Message, ids []string) {
	r := bufio.NewReader(s.open(t, request{"GET", "/v1/topics/a?since=start", []string{"Accept: application/x-ndjson"}, ""}).Body)
	readLine(t, r)
	for i, m := range want {
		compareObject(t, readLine(t, r), m, ids[i])
	}
	atEnd(t, s, func() (string, error) {
		line, err := r.ReadString('\n')
		if strings.HasPrefix(line, `{"drain":`) {
			line, err = r.ReadString('\n')
		}
		return line, err
	})
}

func compareObject(t *testing.T, object string, m hub.Message, id string) {
	t.Helper()
	var got struct {
		ID, Topic, Type, Key, Time, Data string
		Base64                           bool
	}
	dec := json.NewDecoder(strings.NewReader(object))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	data := got.Data
	if got.Base64 {
		b, _ := base64.StdEncoding.DecodeString(data)
		data = string(b)
	}
	if got.ID != id || got.Topic != "a" || got.Type != m.Type || got.Key != m.Key || data != string(m.Data) {
		t.Fatalf("%q, published was %+v with data %q", object, m, m.Data)
	}
}

// atEnd ends all streams: nothing may follow but the farewell.
func atEnd(t *testing.T, s *server, next func() (string, error)) {
	t.Helper()
	s.engine.End(0)
	for {
		switch text, err := next(); {
		case err == io.EOF:
			return
		case err != nil || text != "":
			t.Fatalf("behind the last message came %q, %v", text, err)
		}
	}
}

// TestHostilePathsForgeNoHeader publishes under random topics: Location is one
// header that leads back to the topic.
func TestHostilePathsForgeNoHeader(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := serve(t, hub.Options{})
	for range 1000 {
		topic := "x" + forged(random)
		a := s.ask(t, request{"POST", "/v1/topics/" + url.PathEscape(topic), nil, "x"})
		if a.status == 400 {
			continue
		}
		u, err := url.Parse(a.header.Get("Location"))
		if a.status != 201 || err != nil || u.Path != "/v1/topics/"+topic || len(a.header) > 6 || len(a.header["Location"]) != 1 {
			t.Errorf("topic %q: %d %v", topic, a.status, a.header)
		}
	}
}
