package attack_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// paths are targets as they are on the wire. topic is where a publish to it goes; empty
// if it must not go anywhere.
var paths = []struct{ target, topic string }{
	{"/v1/topics/..", ""},
	{"/v1/topics/.", ""},
	{"/v1/topics/../x", ""},
	{"/v1/topics/%2e%2e", ""},
	{"/v1/topics/%2e%2e/x", ""},
	{"/v1/topics/%2E%2E%2Fx", ""},
	{"/v1/topics/..%2fx", ""},
	{"/v1/topics/a/../weir/x", ""},
	{"/v1/topics/a/..", ""},
	{"/v1/topics/a/%2e/b", ""},
	{"/v1/topics/a/%2e%2e/%2e%2e/%2e%2e/etc/passwd", ""},
	{"/v1/topics/%252e%252e", "%2e%2e"}, // decoded once
	{"/v1/topics/%2e%2e%00", ""},
	{"/v1/topics/a%2fb", "a/b"}, // the documented way
	{"/v1/topics/%2fa", ""},
	{"/v1/topics//a", ""},
	{"/v1/topics/a//b", ""},
	{"/v1/topics/a/", ""},
	{"/v1/topics/a%2f", ""},
	{"/v1/topics/", ""},
	{"/v1/topics", ""},
	{"/v1/topics/%", ""},
	{"/v1/topics/%zz", ""},
	{"/v1/topics/%0", ""},
	{"/v1/topics/a%00", ""},
	{"/v1/topics/%00", ""},
	{"/v1/topics/a%0d%0aSet-Cookie:%20a=b", ""},
	{"/v1/topics/a%0ab", ""},
	{"/v1/topics/a%7f", ""},
	{"/v1/topics/a%c2%85", ""},
	{"/v1/topics/%ff", ""},
	{"/v1/topics/%c0%ae%c0%ae", ""}, // ".." in overlong form
	{"/v1/topics/%ed%a0%80", ""},    // a surrogate
	{"/v1/topics/%f4%90%80%80", ""}, // beyond Unicode
	{"/v1/topics/" + strings.Repeat("a", 256), ""},
	{"/v1/topics/*", ""},
	{"/v1/topics/a/**", ""},
	{"/v1/topics/a;b=c", "a;b=c"},
	{"/v1/topics/a;/../b", ""},
	{"/v1/topics/..;/b", "..;/b"}, // no parameters: the segment is "..;"
	{`/v1/topics/..\x`, `..\x`},   // no separator
	{"/v1/topics/..%5cx", `..\x`},
	{"/v1/topics/CON", "CON"},
	{"/v1/topics/nul.txt", "nul.txt"},
	{"/v1/topics/C:%5cwindows", `C:\windows`},
	{"/v1/topics/C:/a", "C:/a"},
	{"/v1/topics/...", "..."},
	{"/v1/topics/~root", "~root"},
	{"/v1/topics/a::$DATA", "a::$DATA"},
	{"/v1/topics/weir.db", "weir.db"},

	// What belongs to the server.
	{"/v1/topics/weir/x", ""},
	{"/v1/topics/weir%2fx", ""},
	{"/v1/topics/%77eir/x", ""},
	{"/v1/topics/%77%65%69%72%2f%78", ""},
	{"/v1/topics/weir//x", ""},
	{"/v1/topics/./weir/x", ""},
	{"/v1/topics/a/../weir/x", ""},
	{"//v1/topics/weir/x", ""},
	{"http://localhost/v1/topics/weir/x", ""},
	{"/v1/topics/weir/stats", ""},
	{"/v1/topics/WEIR/x", "WEIR/x"}, // names tell case apart
	{"/v1/topics/weir%20/x", "weir /x"},
	{"/v1/topics/weir", "weir"},

	// Other spellings of the way to a topic.
	{"/V1/topics/a", ""},
	{"/v1/Topics/a", ""},
	{"/v1//topics/a", ""},
	{"//v1/topics/a", ""},
	{"/./v1/topics/a", ""},
	{"/x/../v1/topics/a", ""},
	{"/v1/x/../topics/a", ""},
	{"/v1%2ftopics%2fa", "a"}, // the same path, for proxies decide on what they see: see below
	{"/%76%31/topics/a", "a"},
	{"/v1/topics%2fa", "a"},
	{"/v1/topics;x/a", ""},
	{`\v1\topics\a`, ""},
	{"/v1/topics/a#b", "a#b"},
	{"/v1/streams/../topics/a", ""},
	{"/v1/streams/%2e%2e/topics/a", ""},
	{"/v1/streams/..%2ftopics%2fa", ""},
	{"/v1/streams/weir/x", ""},
	{"/v1/streams/weir%2fx", ""},
	{"/v1/streams/%77eir/x", ""},
	{"/v1/streams/weir//x", ""},
	{"/v1/streams/", ""},
	{"/v1/streams", ""},
	{"/v1/streams//a", ""},
	{"/v1/streams/a%00", ""},
	{"/v1/streams/a/", ""},
	{"/v1/streams/%ff", ""},
	{"/v1/streams/__ds/x", ""},
	{"/v1/streams/%5f_ds/x", ""},
	{"/v1/streams/*", ""},
	{"/v1/streams/a/../../topics/a", ""},
}

// TestPathsMeanOneTopicOrNothing publishes by each path and each method that might, and
// looks at everything that there is then: topics, and files.
func TestPathsMeanOneTopicOrNothing(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"--page=true", "--page=false"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			s := serve(t, page, "--data", filepath.Join(top, "data"))
			want := []string{}
			for _, p := range paths {
				s.checkPath(t, p.target, p.topic)
				if p.topic != "" {
					want = append(want, p.topic)
				}
			}
			slices.Sort(want)
			if got := s.topics(); !slices.Equal(got, slices.Compact(want)) {
				t.Errorf("there are messages in %q, want %q", got, want)
			}
			checkFiles(t, top)
		})
	}
}

// checkPath sends a POST and a PUT, which creates a stream, on a connection of its own.
func (s *server) checkPath(t *testing.T, target, topic string) {
	t.Helper()
	for _, method := range []string{"POST", "PUT"} {
		if method == "PUT" && topic != "" {
			continue // no stream
		}
		w := s.dial(t, "tcp")
		w.send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", method, target))
		raw, err := w.rest()
		all, err2 := replies(raw, false)
		if err != nil || err2 != nil || len(all) != 1 {
			t.Errorf("%s %q: answered with %q: %v, %v", method, target, raw, err, err2)
			continue
		}
		r := all[0]
		if (r.status < 300) != (topic != "") || r.status >= 500 && r.status != 501 {
			t.Errorf("%s %q: %d %s, published is to be %q", method, target, r.status, r.body, topic)
		}
		if to := r.get("location"); strings.HasPrefix(to, "//") || strings.Contains(to, `\`) {
			t.Errorf("%s %q leads to %q", method, target, to)
		}
	}
}

// topics returns all that have messages, but for the server's own, sorted.
func (s *server) topics() (names []string) {
	s.t.Helper()
	_, body := s.ask("GET", "/v1/topics/**?since=start&wait=0s", "application/x-ndjson", "")
	for line := range strings.Lines(body) {
		m := s.line(line)
		if m.Topic != "" && m.Topic != "weir/stats" {
			names = append(names, m.Topic)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkFiles looks for files besides those of the log.
func checkFiles(t *testing.T, top string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, filepath.Base(name))
		}
		return err
	})
	if err != nil || len(files) == 0 || len(files) > 2 || !slices.Contains(files, "weir.db") {
		t.Errorf("there are the files %q: %v", files, err)
	}
}

// TestAPrefixOfStreamsCannotBeLeft has the streams below another path.
func TestAPrefixOfStreamsCannotBeLeft(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false", "--durable-streams-prefix", "/s/")
	s.publish("secret", "x")
	for _, target := range []string{"/s/../v1/topics/secret", "/s/%2e%2e/v1/topics/secret", "/s/..%2fv1%2ftopics%2fsecret", "/s//secret", "/s/./secret",
		"/S/secret", "/s%2f%2e%2e%2fsecret", "/s", "/s/", "/s;/secret", "/s/weir/stats", "/s/weir%2fstats", "/v1/streams/secret", `/s\secret`} {
		w := s.dial(t, "tcp")
		w.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		raw, _ := w.rest()
		if all, err := replies(raw, false); err != nil || len(all) != 1 || all[0].status < 400 || all[0].status >= 500 {
			t.Errorf("%q: answered with %q: %v", target, raw, err)
		}
	}
}
