package durable_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// forked is the headers that make a fork of a stream.
func forked(from string, more ...string) []string {
	return append([]string{"Stream-Forked-From: " + prefix + from}, more...)
}

// TestForksAreAskedForAsTheProtocolSays sends one request after the other to one
// server.
func TestForksAreAskedForAsTheProtocolSays(t *testing.T) {
	s := serve(t)
	s.publish("noise", "x")
	start := s.create("a", "Stream-TTL: 3600").next()
	mid := s.append("a", "first").next()
	s.append("a", "second")
	s.want(s.do("PUT", "j", `[1,2,3]`, jsn), "201")
	after := s.append("a", "third").next()
	at := func(offset string) string { return "Stream-Fork-Offset: " + offset }
	sub := func(n string) string { return "Stream-Fork-Sub-Offset: " + n }
	for i, c := range []struct {
		name   string
		body   string
		header []string
		want   string
		stream string
	}{
		{"f", "", forked("a"), "201", "firstsecondthird"},
		{"f", "", forked("a"), "200", "firstsecondthird"},
		{"f", "", forked("a", text, "Stream-TTL: 3600"), "200", "firstsecondthird"},
		{"f", "", forked("a", "Stream-TTL: 5"), "409 exists", ""},
		{"f", "", forked("a", jsn), "409 exists", ""},
		{"f", "", forked("a", at(after)), "200", "firstsecondthird"},
		{"f", "", forked("a", at(mid)), "409 exists", ""},
		{"f", "", forked("j"), "409 exists", ""},
		{"f", "", []string{text}, "409 exists", ""},
		{"a", "", forked("a"), "409 exists", ""},
		{"x", "", forked("x"), "404 not_found", ""},
		{"x", "", forked("none"), "404 not_found", ""},
		{"x", "", []string{"Stream-Forked-From: /elsewhere/a"}, "404 not_found", ""},
		{"x", "", []string{"Stream-Forked-From: " + prefix + "a%zz"}, "400 bad_fork", ""},
		{"x", "", forked("a//b"), "400 bad_topic", ""},
		{"x", "", []string{text, at(mid)}, "400 bad_fork", ""},
		{"x", "", []string{text, sub("0")}, "400 bad_fork", ""},
		{"x", "", forked("a", jsn), "409 content_type", ""},
		{"x", "", forked("a", at("nonsense")), "400 bad_offset", ""},
		{"x", "", forked("a", at(strings.Repeat("9", 20)+mid[20:])), "400 bad_offset", ""},
		{"x", "", forked("a", at("00000000000000009999"+mid[20:])), "400 bad_offset", ""},
		{"x", "", forked("a", at("00000000000000000001_aaaaaaaa")), "400 bad_offset", ""},
		{"x", "", forked("j", at(start)), "400 bad_offset", ""},
		{"x", "", forked("a", sub("01")), "400 bad_fork", ""},
		{"x", "", forked("a", sub("1")), "400 bad_fork", ""},
		{"x", "", forked("a", at(mid), sub("7")), "400 bad_fork", ""},
		{"x", "", forked("j", at("-1"), sub("4")), "400 bad_fork", ""},
		{"x", "", forked("j", at("-1"), sub("10001")), "400 bad_fork", ""},
		{"x", "{", forked("j"), "400 bad_json", ""},

		{"g", "", forked("a", at(mid)), "201", "first"},
		{"g", "", forked("a", at(mid)), "200", "first"},
		{"g", "", forked("a"), "409 exists", ""},
		{"g2", "", forked("f", at(mid)), "201", "first"},
		{"h", "", forked("a", at(start)), "201", ""},
		{"i", "", forked("a", at("-1")), "201", ""},
		{"k", " more", forked("a", at(mid), sub("3")), "201", "firstsec more"},
		{"k", "", forked("a", at(mid), sub("3")), "200", "firstsec more"},
		{"k", "", forked("a", at(mid), sub("4")), "409 exists", ""},
		{"l", "", forked("a", at(mid), sub("6")), "201", "firstsecond"},
		{"m", "", forked("a", at("now"), "Stream-Closed: true"), "201", "firstsecondthird"},
		{"n", "[9]", forked("j", at("-1"), sub("2")), "201", "[1,2,9]"},
		{"o", "", forked("n", at("-1"), sub("3")), "201", "[1,2,9]"},
		{"p", "", forked("k", at(mid), sub("2")), "201", "firstse"},
	} {
		a := s.want(s.do("PUT", c.name, c.body, c.header...), c.want)
		if a.StatusCode >= 400 {
			continue
		}
		if got := s.do("GET", c.name, ""); got.body != c.stream || got.next() != a.next() || got.Header.Get("Stream-Up-To-Date") == "" {
			t.Errorf("fork %d, %s: created with %v, read as %v, want %q", i, c.name, a, got, c.stream)
		}
	}
	for name, want := range map[string]string{"a": "firstsecondthird", "j": "[1,2,3]"} {
		s.read(name, want)
	}
	if got := s.do("HEAD", "f", "").Header.Get("Stream-TTL"); got != "3600" {
		t.Errorf("the fork has TTL %q, want that of its source", got)
	}
}

// TestForksGoTheirOwnWay appends to a stream, a fork of it and a fork of that.
func TestForksGoTheirOwnWay(t *testing.T) {
	s := serve(t)
	names := []string{"a", "b", "c"}
	s.create("a")
	offsets := map[string]string{"": "-1", "1": s.append("a", "1").next()}
	s.want(s.do("PUT", "b", "", forked("a")...), "201")
	offsets["12"] = s.append("b", "2").next()
	s.want(s.do("PUT", "c", "", forked("b")...), "201")
	offsets["123"] = s.append("c", "3").next()
	for i, name := range names {
		s.append(name, fmt.Sprint(" ", name))
		whole := "123"[:i+1] + " " + name
		for seen, offset := range offsets {
			if strings.HasPrefix(whole, seen) {
				s.read(name+"?offset="+offset, strings.TrimPrefix(whole, seen))
			}
		}
	}
	f := s.follow("c?live=sse&offset=-1")
	if data, c := f.page(); strings.Join(data, "") != "123 c" || !c.UpToDate {
		t.Errorf("a follower of the fork gets %q %+v", data, c)
	}
	s.append("b", "not here")
	s.append("c", "here")
	if data, _ := f.page(); strings.Join(data, "") != "here" {
		t.Errorf("a follower of the fork gets %q", data)
	}
	s.want(s.do("POST", "a", "", "Stream-Closed: true"), "204")
	s.append("b", "open")
}

// TestDeletedSourcesStayForTheirForks deletes a line of forks in different orders.
func TestDeletedSourcesStayForTheirForks(t *testing.T) {
	for _, order := range []string{"abc", "bac", "acb", "cba", "bca", "cab"} {
		s := serve(t)
		s.create("a")
		s.want(s.do("POST", "a", "1", by("p", 0, 0)...), "200")
		s.append("a", "", "Stream-Seq: 1", "Stream-Closed: true")
		s.want(s.do("PUT", "b", "2", forked("a")...), "201")
		s.want(s.do("PUT", "c", "3", forked("b", "Stream-TTL: 60")...), "201")
		forks := map[string]string{"a": "b", "b": "c"}
		content := map[string]string{"a": "1", "b": "12", "c": "123"}
		deleted := map[string]bool{}
		var gone func(name string) bool // not even hidden
		gone = func(name string) bool {
			fork := forks[name]
			return deleted[name] && (fork == "" || gone(fork))
		}
		for _, name := range strings.Split(order, "") {
			s = s.restart()
			s.want(s.do("DELETE", name, ""), "204")
			deleted[name] = true
			for other, whole := range content {
				switch {
				case gone(other):
					s.want(s.do("GET", other, ""), "404 not_found")
				case deleted[other]:
					for _, method := range []string{"GET", "DELETE", "POST"} {
						s.want(s.do(method, other, "x", text), "410 deleted")
					}
					s.want(s.do("HEAD", other, ""), "410")
					s.want(s.do("PUT", other, "", text), "409 deleted")
					s.want(s.do("PUT", "another", "", forked(other)...), "409 deleted")
				default:
					s.read(other, whole)
				}
			}
		}
		for key := range s.hub.Log().Values("ds") {
			t.Errorf("order %s has left %q", order, key)
		}
		for _, topic := range []string{"a", "b", "c"} {
			if n, err := s.hub.Log().Forget(topic); err != nil || n > 0 {
				t.Errorf("order %s has left %d messages in %s", order, n, topic)
			}
		}
	}
}

// TestLinesOfForksHaveALimit makes forks of forks, with and without data of their own.
func TestLinesOfForksHaveALimit(t *testing.T) {
	for _, c := range []struct {
		header []string
		limit  int
	}{
		{nil, 31},
		{[]string{"Stream-Fork-Offset: -1"}, 64},
	} {
		s := serve(t)
		s.create("f0")
		s.append("f0", "x")
		made := 0
		for i := 1; i < 100; i++ {
			a := s.do("PUT", fmt.Sprint("f", i), "x", forked(fmt.Sprint("f", i-1), c.header...)...)
			if a.StatusCode != 201 {
				s.want(a, "400 bad_fork")
				break
			}
			made++
		}
		if made != c.limit {
			t.Errorf("%q: %d forks of forks, want %d", c.header, made, c.limit)
		}
		for i := range made + 1 {
			s.want(s.do("DELETE", fmt.Sprint("f", i), ""), "204")
		}
		for key := range s.hub.Log().Values("ds") {
			t.Fatalf("%q is left", key)
		}
	}
}

// TestForksAndDeletionsAtOnce lets many create and delete forks of each other.
func TestForksAndDeletionsAtOnce(t *testing.T) {
	s := serve(t)
	forkAndDelete(t, 8, 60, s)
	if n := s.durable.Locks(); n > 0 {
		t.Errorf("%d locks are left", n)
	}
}

// forkAndDelete has clients, each on one of the nodes, create and delete forks of each
// other's streams, and deletes them all in the end.
func forkAndDelete(t *testing.T, clients, rounds int, nodes ...*server) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for j := range rounds {
				own, other := fmt.Sprint("s", (i+j)%4), fmt.Sprint("s", (i*j+1)%4)
				for _, r := range []struct {
					method string
					header []string
				}{
					{"PUT", []string{text}}, {"PUT", forked(other)}, {"POST", []string{text}}, {"DELETE", nil},
				} {
					a, err := nodes[i%len(nodes)].try(r.method, own, "x", r.header...)
					if err != nil || a.StatusCode >= 500 || a.StatusCode == 400 {
						t.Errorf("%s %s %q: %v %v", r.method, own, r.header, a, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for range 100 { // hidden ones go with their forks
		for i := range 4 {
			nodes[0].do("DELETE", fmt.Sprint("s", i), "")
		}
	}
	for key, value := range nodes[0].hub.Log().Values("ds") {
		t.Errorf("%q is left: %s", key, value)
	}
}
