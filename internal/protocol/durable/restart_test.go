package durable_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/disklog"
)

// open opens a hub on a log on disk.
func open(t *testing.T, dir string) *hub.Hub {
	t.Helper()
	log, err := disklog.Open(dir, disklog.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: log, MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestStreamsSurviveARestart closes the log and opens it again from the disk.
func TestStreamsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := serveHub(t, open(t, dir), options())
	start := s.create("a", "Stream-TTL: 3600").next()
	for i := range 10 {
		s.want(s.do("POST", "a", fmt.Sprint(i), append(by("p", 0, i), fmt.Sprint("Stream-Seq: ", i))...), "200")
	}
	s.want(s.do("PUT", "fork", "x", forked("a")...), "201")
	s.want(s.do("PUT", "closed", "x", text, "Stream-Closed: true"), "201")
	s.want(s.do("PUT", "json", `[{"a":1},2]`, jsn), "201")
	s.create("hidden")
	s.want(s.do("PUT", "fork of hidden", "", forked("hidden")...), "201")
	s.want(s.do("DELETE", "hidden", ""), "204")
	ends := map[string]string{}
	for _, name := range []string{"a", "fork", "closed", "json"} {
		ends[name] = s.do("HEAD", name, "").next()
	}
	s.stop()
	if err := s.hub.Close(); err != nil {
		t.Fatal(err)
	}
	s = serveHub(t, open(t, dir), options())
	for name, want := range map[string]string{"a": "0123456789", "fork": "0123456789x", "closed": "x", "json": `[{"a":1},2]`} {
		if a := s.read(name, want); a.next() != ends[name] {
			t.Errorf("%s ends at %s, before the restart at %s", name, a.next(), ends[name])
		}
	}
	s.read("a?offset="+start, "0123456789")
	s.read("a?offset="+ends["a"], "")
	s.want(s.do("POST", "a", "9", by("p", 0, 9)...), "204")
	s.want(s.do("POST", "a", "A", append(by("p", 0, 10), "Stream-Seq: 9")...), "409 stream_seq")
	s.want(s.do("POST", "a", "A", append(by("p", 0, 10), "Stream-Seq: A")...), "200")
	s.want(s.do("POST", "closed", "y", text), "409 closed")
	s.want(s.do("GET", "hidden", ""), "410 deleted")
	s.want(s.do("PUT", "a", "", text, "Stream-TTL: 3600"), "200")
	s.want(s.do("PUT", "fork", "", forked("a")...), "200")
	s.read("fork", "0123456789x")
	s.read("a?offset="+ends["a"], "A")
}
