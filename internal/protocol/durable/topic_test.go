package durable_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
)

// TestAppendsAreMessages reads streams as the topics that they are.
func TestAppendsAreMessages(t *testing.T) {
	s := serve(t)
	s.create("chat/1")
	s.append("chat/1", "hello")
	s.want(s.do("PUT", "chat/2", `[{"a": 1}, "b"]`, jsn), "201")
	s.want(s.do("POST", "chat/2", " [ [1, 2] , null ] ", jsn), "204")
	var got []string
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for m, err := range s.hub.Follow(ctx, hub.Subscription{Topics: []string{"chat/*"}, From: hub.FromOldest()}) {
		if err != nil || m.Gap != nil {
			t.Fatal(m, err)
		}
		if got = append(got, m.Topics[0]+" "+string(m.Data)); len(got) == 5 {
			break
		}
	}
	if want := []string{"chat/1 hello", `chat/2 {"a":1}`, `chat/2 "b"`, "chat/2 [1,2]", "chat/2 null"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the topics have %q, want %q", got, want)
	}
}

// TestMessagesAreInTheStream publishes to the topics of streams.
func TestMessagesAreInTheStream(t *testing.T) {
	s := serve(t)
	s.publish("a", "before ")
	start := s.create("a").next()
	s.append("a", "1")
	s.publish("a", "2")
	s.append("a", "3")
	s.read("a", "123")
	s.read("a?offset="+start, "123")
	end := s.want(s.do("POST", "a", "4", text, "Stream-Closed: true"), "204").next()
	s.publish("a", "too late")
	if a := s.read("a", "1234"); a.next() != end || a.Header.Get("Stream-Closed") != "true" {
		t.Errorf("the closed stream ends with %v, want %s", a, end)
	}
	s.want(s.do("PUT", "b", "", text, "Stream-Closed: true"), "201")
	s.publish("b", "too late")
	s.read("b", "")
}

func TestTheFirstStreamMayBeClosedAndEmpty(t *testing.T) {
	s := serve(t)
	s.want(s.do("PUT", "a", "", text, "Stream-Closed: true"), "201")
	s.publish("a", "too late")
	if a := s.read("a", ""); a.Header.Get("Stream-Closed") != "true" {
		t.Errorf("the stream is not closed: %v", a)
	}
}

// TestMessagesThatAreNoJSONAppearAsStrings publishes any bytes to the topic of a
// JSON stream.
func TestMessagesThatAreNoJSONAppearAsStrings(t *testing.T) {
	s := serve(t)
	s.want(s.do("PUT", "a", "", jsn), "201")
	for _, data := range []string{`{"a":1}`, "hello", `],["`, "", "\xff", "\"\xff\"", "{\n}"} {
		s.publish("a", data)
	}
	a := s.want(s.do("GET", "a", ""), "200")
	var got []any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	want := []any{map[string]any{"a": 1.0}, "hello", `],["`, "", "\ufffd", "\"\ufffd\"", map[string]any{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the stream is %q, want %q", got, want)
	}
}

func TestJSONBodiesAreSplitIntoMessages(t *testing.T) {
	s := serve(t)
	for i, c := range []struct{ body, want, stream string }{
		{`{"a" : [1, {"b":"c d"}]}`, "204", `[{"a":[1,{"b":"c d"}]}]`},
		{"[1,\n2]\n", "204", "[1,2]"},
		{"[[1,2],[]]", "204", "[[1,2],[]]"},
		{"[[]]", "204", "[[]]"},
		{"1.50e3", "204", "[1.50e3]"},
		{`"ü"`, "204", `["ü"]`},
		{"[]", "400 empty_body", "[]"},
		{"[ ]", "400 empty_body", "[]"},
		{"  ", "400 bad_json", "[]"},
		{"[1,]", "400 bad_json", "[]"},
		{"1 2", "400 bad_json", "[]"},
		{"[1] x", "400 bad_json", "[]"},
		{`{"a":}`, "400 bad_json", "[]"},
		{"\"\xff\"", "400 bad_json", "[]"},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), "204", strings.Repeat("[", 100) + strings.Repeat("]", 100)},
		{"[" + strings.Repeat("1,", 10_000) + "1]", "413 too_large", "[]"},
	} {
		name := fmt.Sprint("j", i)
		s.want(s.do("PUT", name, "[]", jsn), "201")
		s.want(s.do("POST", name, c.body, "Content-Type: application/json; charset=utf-8"), c.want)
		s.read(name, c.stream)
		s.read(name+"?offset=now", "[]")
	}
}
