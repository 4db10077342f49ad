package native_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/stream"
)

// TestRepeatedPublishIsKeptOnce gives the same key in all ways.
func TestRepeatedPublishIsKeptOnce(t *testing.T) {
	s := serve(t, hub.Options{})
	first := s.ask(t, request{"POST", "/v1/topics/a", []string{"Idempotency-Key: k1"}, "x"})
	if first.status != 201 || normal([]byte(first.body)) != `{"id":"epochxyz-1"}`+"\n" || first.header.Get("Idempotency-Replayed") != "" {
		t.Fatalf("first: %d %s %v", first.status, first.body, first.header)
	}
	s.publish(t, text("b", "another"))
	for _, r := range []request{
		{"POST", "/v1/topics/a", []string{"Idempotency-Key: k1"}, "x"},
		{"POST", "/v1/topics/a", []string{`Idempotency-Key: "k1"`}, "x"},
		{"POST", "/v1/topics/a?idempotency_key=k1", nil, "x"},
		{"POST", "/v1/topics/a?idempotency_key=k1", []string{"idempotency-key: k1"}, "x"},
		request{"POST", "/v1/topics/a", []string{"Idempotency-Key: k1"}, ""}.chunked("x"),
	} {
		a := s.ask(t, r)
		if a.status != 200 || normal([]byte(a.body)) != `{"id":"epochxyz-1","duplicate":true}`+"\n" || a.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Location") != "/v1/topics/a" {
			t.Errorf("%s %q: %d %s %v", r.target, r.header, a.status, a.body, a.header)
		}
	}
	for i, key := range []string{"k2", "K1", "k1/1"} {
		a := s.ask(t, request{"POST", "/v1/topics/a", []string{"Idempotency-Key: " + key}, key})
		if want := fmt.Sprintf("{\"id\":\"epochxyz-%d\"}\n", i+3); a.status != 201 || normal([]byte(a.body)) != want {
			t.Errorf("another key, %s: %d %s, want 201 %s", key, a.status, a.body, want)
		}
	}
	if got := s.data(t, "a"); !slices.Equal(got, []string{"x", "k2", "K1", "k1/1"}) {
		t.Errorf("kept %q", got)
	}
	if n := s.hub.Stats().Published; n != 5 {
		t.Errorf("%d messages count as published, want 5", n)
	}
}

// TestRepeatIsAnsweredWithThePublishersOwnID: it is the first message's.
func TestRepeatIsAnsweredWithThePublishersOwnID(t *testing.T) {
	s := serve(t, hub.Options{})
	for i, want := range []string{`{"id":"mine"}`, `{"id":"mine","duplicate":true}`} {
		a := s.ask(t, request{"POST", "/v1/topics/a?id=mine", []string{"Idempotency-Key: k"}, "x"})
		if a.body != want+"\n" {
			t.Errorf("answer %d is %s, want %s", i, a.body, want)
		}
	}
}

// TestRefusedMessageLeavesItsKeyFree: what was refused can be mended and sent again.
func TestRefusedMessageLeavesItsKeyFree(t *testing.T) {
	s := serve(t, hub.Options{})
	key := []string{"Idempotency-Key: k"}
	if a := s.ask(t, request{"POST", "/v1/topics/a", key, strings.Repeat("x", maxBytes+1)}); a.status != 413 {
		t.Errorf("%d %s, want 413", a.status, a.body)
	}
	if a := s.ask(t, request{"POST", "/v1/topics/a?type=%0a", key, "x"}); a.status != 400 {
		t.Errorf("%d %s, want 400", a.status, a.body)
	}
	if a := s.ask(t, request{"POST", "/v1/topics/a", key, "x"}); a.status != 201 {
		t.Errorf("%d %s, want 201", a.status, a.body)
	}
}

// TestKeyBelongsToTheFirstTopic of its message.
func TestKeyBelongsToTheFirstTopic(t *testing.T) {
	s := serve(t, hub.Options{})
	for i, c := range []struct {
		line string
		kept bool
	}{
		{`{"topic":"a","idempotency_key":"k"}`, true},
		{`{"topic":"b","idempotency_key":"k"}`, true},
		{`{"topics":["c","a"],"idempotency_key":"k"}`, true},
		{`{"topics":["a","d"],"idempotency_key":"k"}`, false},
		{`{"topic":"a","topics":["d"],"idempotency_key":"k"}`, false},
		{`{"topic":"d","idempotency_key":null}`, true},
		{`{"topic":"d","idempotency_key":null}`, true},
	} {
		before := s.hub.Log().Head()
		a := s.post(t, c.line)
		if kept := s.hub.Log().Head() > before; a.status != 200 || kept != c.kept || kept == strings.Contains(a.body, `"duplicates":1`) {
			t.Errorf("line %d, %s: %d %s; want kept %v", i, c.line, a.status, a.body, c.kept)
		}
	}
}

// TestRepeatedLinesAreKeptOnce sends requests whose lines have keys, by number and
// their own.
func TestRepeatedLinesAreKeptOnce(t *testing.T) {
	s := serve(t, hub.Options{})
	key := func(k string) []string { return []string{ndjson, "Idempotency-Key: " + k} }
	three := lines(3)
	for _, c := range []struct {
		name string
		r    request
		want string
		kept int // messages after it
	}{
		{"first", request{"POST", "/v1/events", key("k"), three}, `{"published":3,"last_id":"epochxyz-3"}`, 3},
		{"again", request{"POST", "/v1/events", key("k"), three}, `{"published":3,"duplicates":3,"last_id":"epochxyz-3"}`, 3},
		{"quoted", request{"POST", "/v1/events", key(`"k"`), three}, `{"published":3,"duplicates":3,"last_id":"epochxyz-3"}`, 3},
		{"as parameter", request{"POST", "/v1/events?idempotency_key=k", []string{ndjson}, three}, `{"published":3,"duplicates":3,"last_id":"epochxyz-3"}`, 3},
		{"longer", request{"POST", "/v1/events", key("k"), lines(5)}, `{"published":5,"duplicates":3,"last_id":"epochxyz-5"}`, 5},
		{"empty lines count", request{"POST", "/v1/events", key("k"), "\n\n \r\n\n" + lines(1) + "\n" + lines(1)}, `{"published":2,"duplicates":1,"last_id":"epochxyz-6"}`, 6},
		{"own keys", request{"POST", "/v1/events", key("k"), `{"topic":"a","idempotency_key":"own"}` + "\n" + `{"topic":"a","idempotency_key":"k/3"}` + "\n" + lines(1)}, `{"published":3,"duplicates":2,"last_id":"epochxyz-3"}`, 7},
		{"a key twice in a request", request{"POST", "/v1/events", []string{ndjson}, strings.Repeat(`{"topic":"a","idempotency_key":"twice"}`+"\n", 2)}, `{"published":2,"duplicates":1,"last_id":"epochxyz-8"}`, 8},
		{"no key", request{"POST", "/v1/events", []string{ndjson}, three}, `{"published":3,"last_id":"epochxyz-11"}`, 11},
		{"nothing", request{"POST", "/v1/events", key("k"), ""}, `{"published":0}`, 11},
	} {
		a := s.ask(t, c.r)
		if a.status != 200 || normal([]byte(a.body)) != c.want+"\n" {
			t.Errorf("%s: %d %s, want %s", c.name, a.status, a.body, c.want)
		}
		replayed := strings.Contains(c.want, `"published":3,"duplicates":3`)
		if got := a.header.Get("Idempotency-Replayed"); (got == "true") != replayed {
			t.Errorf("%s: Idempotency-Replayed is %q", c.name, got)
		}
		if got := len(s.kept(t, "a")); got != c.kept {
			t.Errorf("%s: %d messages are kept, want %d", c.name, got, c.kept)
		}
	}
}

// TestLineHasTheKeyOfItsNumber, which a single message can have as well.
func TestLineHasTheKeyOfItsNumber(t *testing.T) {
	s := serve(t, hub.Options{})
	s.ask(t, request{"POST", "/v1/events", []string{ndjson, "Idempotency-Key: k"}, lines(3)})
	a := s.ask(t, request{"POST", "/v1/topics/a", []string{"Idempotency-Key: k/2"}, "1"})
	if a.status != 200 || normal([]byte(a.body)) != `{"id":"epochxyz-2","duplicate":true}`+"\n" {
		t.Errorf("%d %s, want the ID of line 2", a.status, a.body)
	}
}

// TestBadLineTellsOfDuplicatesBeforeIt sends a request again that was refused at
// its third line, mended.
func TestBadLineTellsOfDuplicatesBeforeIt(t *testing.T) {
	s := serve(t, hub.Options{})
	key := []string{ndjson, "Idempotency-Key: k"}
	for i, want := range []int{0, 2} {
		a := s.ask(t, request{"POST", "/v1/events", key, lines(2) + "oops\n"})
		if a.status != 400 || a.Line != 3 || *a.Published != 2 || a.Duplicates != want || normal([]byte(a.LastID)) != "epochxyz-2" {
			t.Errorf("answer %d: %d %s, want 2 published, %d of them duplicates", i, a.status, a.body, want)
		}
	}
	a := s.ask(t, request{"POST", "/v1/events", key, lines(3)})
	if normal([]byte(a.body)) != `{"published":3,"duplicates":2,"last_id":"epochxyz-3"}`+"\n" {
		t.Errorf("mended: %d %s", a.status, a.body)
	}
	if got := s.data(t, "a"); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("kept %q", got)
	}
}

// TestCutRequestCanBeSentAgain cuts the connection in the middle of many lines.
func TestCutRequestCanBeSentAgain(t *testing.T) {
	const n = 1000
	s := serve(t, hub.Options{})
	r := request{"POST", "/v1/events", []string{ndjson, "Idempotency-Key: k"}, lines(n)}
	for _, sent := range []int{0, len(r.body) / 3, len(r.body) / 2, len(r.body) - 1} {
		nc := s.dial(t)
		first := request{r.method, r.target, append(r.header, fmt.Sprint("Content-Length: ", len(r.body))), ""}
		if _, err := io.WriteString(nc, first.head()+r.body[:sent]); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		whole(t, readResponse(t, nc, "POST"))
	}
	before := len(s.kept(t, "a"))
	if before == 0 || before == n {
		t.Fatalf("%d lines are kept after the cuts, so this test proves nothing", before)
	}
	if a := s.ask(t, r); a.status != 200 || !strings.Contains(a.body, fmt.Sprintf(`"published":%d,"duplicates":%d,`, n, before)) {
		t.Errorf("%d %s, want %d published and %d duplicates", a.status, a.body, n, before)
	}
	for i, data := range s.data(t, "a") {
		if data != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, data)
		}
	}
	if got := len(s.kept(t, "a")); got != n {
		t.Errorf("%d messages are kept, want %d", got, n)
	}
}

// TestOnePublisherOfManyWins sends one key over many connections at once.
func TestOnePublisherOfManyWins(t *testing.T) {
	const n = 16
	s := openSite(t, hub.Options{})
	var wg sync.WaitGroup
	statuses := make([]int, n)
	for i := range n {
		p := s.connect(t)
		wg.Go(func() {
			for range 5 { // on the way the connection is adopted
				resp, err := p.send(raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k"))
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] += resp.StatusCode
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, status := range statuses {
		sum += status
	}
	if want := 200*5*n + 1; sum != want {
		t.Errorf("the answers are %v, want 201 once and 200 otherwise", statuses)
	}
	if head := s.hub.Log().Head(); head != 1 {
		t.Errorf("%d messages are kept, want 1", head)
	}
}

// TestKeysDoNotEndAdoption: a publisher with keys is as busy as one without.
func TestKeysDoNotEndAdoption(t *testing.T) {
	s := openSite(t, hub.Options{})
	p := s.connect(t)
	for i := range 10 {
		for _, want := range []int{201, 200} {
			resp, err := p.send(raw("POST", "/v1/topics/a", "x", fmt.Sprint("Idempotency-Key: k", i)))
			if err != nil || resp.StatusCode != want || (resp.Header.Get("Idempotency-Replayed") == "true") != (want == 200) {
				t.Fatalf("message %d: %v, %v, want %d", i, resp, err, want)
			}
		}
	}
	if n := s.served.Load(); intake.Supported && n != 20-3 {
		t.Errorf("%d requests are served without net/http, want %d", n, 20-3)
	}
}

// TestAdoptedAnswersVaryLikeOthers: a cache must know that answers differ by Origin.
func TestAdoptedAnswersVaryLikeOthers(t *testing.T) {
	for _, origins := range [][]string{nil, {"*"}, {"https://friend.example"}} {
		var got [2]string
		for i, adopt := range []bool{true, false} {
			s, err := newSite(adopt, hub.Options{Stream: stream.Options{AllowOrigins: origins}})
			if err != nil {
				t.Fatal(err)
			}
			input := raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k") + raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k")
			if got[i], err = s.transcript(input, false); err != nil {
				t.Error(err)
			}
			if n := s.served.Load(); adopt && intake.Supported && n == 0 {
				t.Error("nothing was adopted, so this proves nothing")
			}
			s.close()
		}
		if got[0] != got[1] {
			t.Errorf("origins %q, with adoption:\n%s\nwithout:\n%s", origins, got[0], got[1])
		}
		if strings.Contains(got[0], "Vary: Origin") != (origins != nil) {
			t.Errorf("origins %q: answers are\n%s", origins, got[0])
		}
	}
}

// TestForgottenKeyIsFree: the log remembers only so many.
func TestForgottenKeyIsFree(t *testing.T) {
	s := serve(t, hub.Options{History: eventlog.Options{MaxKeys: 2}})
	for i, c := range []struct {
		key    string
		status int
	}{{"1", 201}, {"2", 201}, {"1", 200}, {"3", 201}, {"2", 200}, {"1", 201}} {
		if a := s.ask(t, request{"POST", "/v1/topics/a", []string{"Idempotency-Key: " + c.key}, "x"}); a.status != c.status {
			t.Errorf("step %d, key %s: %d, want %d", i, c.key, a.status, c.status)
		}
	}
}
