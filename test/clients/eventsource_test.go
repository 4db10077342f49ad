package clients_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestStreamOpensBeforeItsFirstMessage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	source := open(t, s.url+"/healthz").source("/v1/topics/a")
	source.opened()
	if got := source.records(); len(got) != 1 || got[0].Kind != "open" || got[0].Left != 1 {
		t.Errorf("before the first message the page was told %v, want only that the stream is open", got)
	}
	s.publish("a", "hello", "")
	if got := source.await(1, "message"); got[0].Data != "hello" {
		t.Errorf("first message: %v", got[0])
	}
}

func TestMessagesAndNamedEventsGoToTheirHandlers(t *testing.T) {
	t.Parallel()
	s := serve(t)
	source := open(t, s.url+"/healthz").source("/v1/topics/a", "message", "price", "Größe")
	source.opened()
	plain := s.publish("a", "plain", "")
	price := s.publish("a", `{"eur": 17.5, "of": ["a", "b"]}`, "type=price")
	own := s.publish("a", "named by hand", "type=message&id=my-own-7")
	size := s.publish("a", "<&>", "type=Gr%C3%B6%C3%9Fe")
	var got []string
	for _, r := range source.await(6, "message", "event") {
		got = append(got, r.String())
	}
	want := []string{
		`message message "plain" ` + plain,
		`event message "plain" ` + plain,
		`event price "{\"eur\": 17.5, \"of\": [\"a\", \"b\"]}" ` + price,
		`message message "named by hand" my-own-7`,
		`event message "named by hand" my-own-7`,
		`event Größe "<&>" ` + size,
	}
	if !slices.Equal(got, want) || own != "my-own-7" {
		t.Errorf("the page was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var eur struct{ EUR float64 }
	if err := json.Unmarshal([]byte(source.records("event")[1].Data), &eur); err != nil || eur.EUR != 17.5 {
		t.Errorf("the JSON of the event holds %v, %v", eur, err)
	}
}

func TestDataArrivesAsItWasPublished(t *testing.T) {
	t.Parallel()
	cases := []struct{ published, want string }{
		{"LF\ntwo", "LF\ntwo"},
		{"CR\rtwo", "CR\ntwo"},
		{"CRLF\r\ntwo", "CRLF\ntwo"},
		{"LF CR\n\rthree", "LF CR\n\nthree"},
		{"\nempty lines\n\n", "\nempty lines\n\n"},
		{"", ""},
		{"\n", "\n"},
		{" a space first", " a space first"},
		{": no comment", ": no comment"},
		{"x\nid: forged\nevent: forged\nretry: 1\n\ndata: forged", "x\nid: forged\nevent: forged\nretry: 1\n\ndata: forged"},
		{"\ufeffa byte order mark first", "\ufeffa byte order mark first"},
		{"NUL \x00 and TAB \t", "NUL \x00 and TAB \t"},
		{"line \u2028 and paragraph \u2029 separators, \u0085", "line \u2028 and paragraph \u2029 separators, \u0085"},
		{"水坝放水，数据不丢。", "水坝放水，数据不丢。"},
		{"नमस्ते दुनिया, क्षत्रिय", "नमस्ते दुनिया, क्षत्रिय"},
		{"🌊 𝄞 👩‍👩‍👧‍👦 𠜎 \U0010fffd", "🌊 𝄞 👩‍👩‍👧‍👦 𠜎 \U0010fffd"},
		{"not UTF-8: \xff\xfe", "data:application/octet-stream;base64,bm90IFVURi04OiD//g=="},
		{strings.Repeat("long 水🌊", 20_000), strings.Repeat("long 水🌊", 20_000)},
	}
	s := serve(t)
	source := open(t, s.url+"/healthz").source("/v1/topics/a")
	source.opened()
	var ids []string
	for _, c := range cases {
		ids = append(ids, s.publish("a", c.published, ""))
	}
	got := source.await(len(cases), "message")
	for i, c := range cases {
		if got[i].Data != c.want || got[i].ID != ids[i] {
			t.Errorf("published %.80q as %s, the page got %.80q as %s, want %.80q", c.published, ids[i], got[i].Data, got[i].ID, c.want)
		}
	}
	if n := len(source.records()); n != len(cases)+1 {
		t.Errorf("the page was told %d things, want %d messages and the opening", n, len(cases))
	}
}

func TestTopicNamesMayBeInAnyScript(t *testing.T) {
	t.Parallel()
	s := serve(t)
	tab := open(t, s.url+"/healthz")
	for _, topic := range []string{"水坝/水位", "नमस्ते/दुनिया", "🌊/👩‍👩‍👧‍👦", "a b/c+d&e=f", "50%/#1?", "Ünï/çødé"} {
		byPath := tab.source(topicPath(topic))
		byQuery := tab.source(eval[string](tab, "topic => '/v1/events?envelope=true&topic=' + encodeURIComponent(topic)", topic))
		first, _, _ := strings.Cut(topic, "/")
		byPattern := tab.source(topicPath(first) + "/*")
		for _, source := range []*source{byPath, byQuery, byPattern} {
			source.opened()
		}
		id := s.publish(topic, topic, "")
		for name, source := range map[string]*source{"path": byPath, "pattern": byPattern} {
			if got := source.await(1, "message"); got[0].Data != topic || got[0].ID != id {
				t.Errorf("topic %q by %s: got %v", topic, name, got)
			}
		}
		var envelope struct{ ID, Topic, Data string }
		text := byQuery.await(1, "message")[0].Data
		if err := json.Unmarshal([]byte(text), &envelope); err != nil || envelope.ID != id || envelope.Topic != topic || envelope.Data != topic {
			t.Errorf("topic %q by query: the envelope is %s, %v", topic, text, err)
		}
		for _, source := range []*source{byPath, byQuery, byPattern} {
			source.close() // a browser opens six streams to one server
		}
	}
}
