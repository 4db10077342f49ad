package attack_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// pipelines are ways to ask for a stream, with bytes behind the request that are a request of
// their own, or that belong to its body. topic is followed, evil publishes to it.
var pipelines = []struct {
	name string
	text func(topic, evil string) string
}{
	{"GET", func(topic, evil string) string { return get("/v1/topics/"+topic) + evil }},
	{"many behind GET", func(topic, evil string) string { return get("/v1/topics/"+topic) + strings.Repeat(evil, 200) }},
	{"GET of events", func(topic, evil string) string { return get("/v1/events?topic="+topic) + evil }},
	{"GET behind GET", func(topic, evil string) string {
		return get("/v1/topics/"+topic) + get("/v1/topics/"+topic+"?since=start") + evil
	}},
	{"DELETE behind GET", func(topic, evil string) string {
		return get("/v1/topics/"+topic) + "DELETE /v1/topics/" + topic + " HTTP/1.1\r\nHost: localhost\r\n\r\n" + evil
	}},
	{"GET with a body", func(topic, evil string) string {
		return get("/v1/topics/"+topic, fmt.Sprint("Content-Length: ", len(evil))) + evil + evil
	}},
	{"GET with chunks", func(topic, evil string) string {
		return get("/v1/topics/"+topic, "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n%s", len(evil), evil, evil)
	}},
	{"GET with half of a body", func(topic, evil string) string {
		return get("/v1/topics/"+topic, fmt.Sprint("Content-Length: ", len(evil)-20)) + evil + evil
	}},
	{"GET that expects", func(topic, evil string) string {
		return get("/v1/topics/"+topic, "Expect: 100-continue", fmt.Sprint("Content-Length: ", len(evil))) + evil
	}},
	{"GET that closes", func(topic, evil string) string {
		return get("/v1/topics/"+topic, "Connection: close") + evil
	}},
	{"GET that upgrades", func(topic, evil string) string {
		return get("/v1/topics/"+topic, "Connection: Upgrade", "Upgrade: websocket") + evil
	}},
	{"GET of HTTP/1.0", func(topic, evil string) string {
		return "GET /v1/topics/" + topic + " HTTP/1.0\r\nHost: localhost\r\n\r\n" + evil
	}},
	{"GET of HTTP/1.0 that stays", func(topic, evil string) string {
		return "GET /v1/topics/" + topic + " HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" + evil
	}},
	{"form", func(topic, evil string) string {
		form := "topic=" + topic
		return fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s%s", len(form), form, evil)
	}},
}

// TestBytesBehindASubscribeAreNotServedDuringTheStream: they are not published, not
// answered, and what the reader gets stays well formed.
func TestBytesBehindASubscribeAreNotServedDuringTheStream(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for _, network := range []string{"tcp", "unix"} {
		for _, p := range phases {
			t.Run(network+"/"+p.name, func(t *testing.T) {
				inParallel(2*len(pipelines), func(i int) {
					s.checkPipeline(t, p.open(t, s, network), pipelines[i/2].name, pipelines[i/2].text, i%2 == 1)
				})
			})
		}
	}
}

// checkPipeline follows a topic. If late is set the bytes behind the request come when
// the stream is open.
func (s *server) checkPipeline(t *testing.T, w *wire, name string, text func(topic, evil string) string, late bool) {
	topic := freshTopic()
	whole := text(topic, post(topic, "evil"))
	if late {
		head, rest, _ := strings.Cut(whole, "\r\n\r\n")
		w.send(head + "\r\n\r\n")
		if !strings.Contains(name, "form") && !strings.Contains(name, "expects") {
			w.expect(t, name, "retry:")
		}
		w.send(rest)
	} else {
		w.send(whole)
	}
	w.expect(t, name, "retry:")
	s.publish(topic, "first")
	s.publish(topic, "second")
	w.expect(t, name, "data: first", "data: second")
	if text := string(w.got); strings.Count(text, "HTTP/1.") > 1+strings.Count(text, "100 Continue") || strings.Contains(text, "evil") {
		t.Errorf("%s: the stream is %q", name, text)
	}
	w.Close()
	if kept := s.kept(topic); strings.Join(kept, " ") != "first second" {
		t.Errorf("%s: the topic has %q", name, kept)
	}
}

// expect reads until all texts have come.
func (w *wire) expect(t *testing.T, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for !strings.Contains(string(w.got), text) {
			if err := w.read(soon); err != nil {
				t.Errorf("%s: waiting for %q after %q: %v", name, text, w.got, err)
				return
			}
		}
	}
}

// A waiting is a stream that a test has opened and that will end by itself.
type waiting struct {
	*wire
	name, topic string
}

// TestBytesBehindASubscribeAreServedAfterItsEnd has streams end by themselves, which takes
// 20 seconds: the requests behind them are served then, in order, each once.
func TestBytesBehindASubscribeAreServedAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var all []waiting
	for _, network := range []string{"tcp", "unix"} {
		for _, p := range phases {
			w := waiting{p.open(t, s, network), network + ", " + p.name, freshTopic()}
			w.send(get("/demo/chunks") + post(w.topic, "one") + get("/healthz"))
			all = append(all, w)
		}
	}
	for _, w := range all {
		w.until("Piece 1 of 10")
		w.send(post(w.topic, "two"))
		if kept := s.kept(w.topic); len(kept) != 0 {
			t.Errorf("%s: during the stream the topic has %q", w.name, kept)
		}
	}
	for _, w := range all {
		w.until("\r\n0\r\n\r\n")
		for i, status := range []int{201, 200, 201} {
			if r := w.reply(); r.status != status {
				t.Errorf("%s: answer %d behind the stream is %d %q, want %d", w.name, i+1, r.status, r.body, status)
			}
		}
		if kept := s.kept(w.topic); strings.Join(kept, " ") != "one two" {
			t.Errorf("%s: the topic has %q", w.name, kept)
		}
	}
}

// TestTheBodyOfASubscribeIsNeverARequest has streams end by themselves whose requests had a
// body: nobody knows where it ends, so the connection ends with the stream.
func TestTheBodyOfASubscribeIsNeverARequest(t *testing.T) {
	t.Parallel()
	s := serve(t)
	evil := post("a", "evil")
	var all []waiting
	for name, rest := range map[string]string{
		"length":       fmt.Sprintf("Content-Length: %d\r\n\r\n%s%s", len(evil), evil, evil),
		"short length": fmt.Sprintf("Content-Length: 1\r\n\r\nx%s", evil),
		"long length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2*len(evil), evil),
		"chunks":       fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n%s", len(evil), evil, evil),
		"no chunk":     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil,
		"close":        "Connection: close\r\n\r\n" + evil,
	} {
		for _, network := range []string{"tcp", "unix"} {
			w := waiting{s.dial(t, network), network + ", " + name, "a"}
			w.send("GET /demo/chunks HTTP/1.1\r\nHost: localhost\r\n" + rest)
			all = append(all, w)
		}
	}
	for _, w := range all {
		head := w.until("\r\n0\r\n\r\n")
		if raw, err := w.rest(); err != nil || len(raw) > 0 || !strings.Contains(head, "Connection: close\r\n") {
			t.Errorf("%s: behind the stream came %q: %v; it began with %.300q", w.name, raw, err, head)
		}
	}
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %q", kept)
	}
}

// TestBytesBehindASubscribeEndWithItsConnection: a stream that the server ends for its age,
// or because it stops, ends its connection.
func TestBytesBehindASubscribeEndWithItsConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false", "--stream.max-age", "10s")
	var wires []*wire
	for _, network := range []string{"tcp", "unix"} {
		for _, p := range phases {
			w := p.open(t, s, network)
			w.send(get("/v1/topics/a") + post("a", "evil"))
			wires = append(wires, w)
		}
	}
	for _, w := range wires {
		raw, err := w.rest()
		if err != nil || strings.Count(string(raw), "HTTP/1.1") != 1 || !strings.HasSuffix(string(raw), "\r\n0\r\n\r\n") {
			t.Errorf("the stream is %q: %v", raw, err)
		}
	}
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %q", kept)
	}
}

func TestAStoppingServerServesNothingBehindASubscribe(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false", "--drain.window", "0s")
	w := s.dial(t, "tcp")
	w.send(get("/v1/topics/a") + post("a", "evil"))
	w.until("retry:")
	s.stopped = true
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if raw, err := w.rest(); err != nil || strings.Contains(string(raw), "HTTP/1.1") {
		t.Errorf("behind the head came %q: %v", raw, err)
	}
	<-s.Done()
}

func TestRequestsBehindALongPollAreServedInOrder(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for _, p := range phases {
		topic := freshTopic()
		w := p.open(t, s, "tcp")
		w.send(get("/v1/topics/"+topic+"?since=start&wait=300ms", "Accept: text/plain") + post(topic, "one"))
		if r := w.reply(); r.status != 200 || r.body != "" {
			t.Errorf("%s: the poll is answered with %d %q", p.name, r.status, r.body)
		}
		if r := w.reply(); r.status != 201 {
			t.Errorf("%s: the publish is answered with %d %q", p.name, r.status, r.body)
		}
		if kept := s.kept(topic); strings.Join(kept, " ") != "one" {
			t.Errorf("%s: the topic has %q", p.name, kept)
		}
	}
}
