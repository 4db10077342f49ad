package feed_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

var sample = feed.Message{
	Body:       []byte(`{"order":{"id":7,"big":12345678901234567890,"tags":["a","b"],"none":null,"ok":true,"s":"x\ny"}, "e":1e3}`),
	Key:        "order.created.eu",
	ID:         "m1",
	Headers:    map[string]string{"x-type": "created", "empty": "", "a.b": "dotted", "slash": "a/b"},
	Properties: map[string]string{"type": "t"},
}

// TestTemplates renders each as data and, where it differs, as topic.
func TestTemplates(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"plain", "plain"},
		{"a{{b}}c", "a{b}c"},
		{"orders/{key}", "orders/order.created.eu"},
		{"{id}-{feed}-{property.type}", "m1-test-t"},
		{"{header.x-type}{field.x-type}{header.empty}{header.a.b}", "createdcreateddotted"},
		{"{header.no?}|{json.no?}|{json.order.none?}|{property.no?}", "|||"},
		{"{json.order.id}", "7"},
		{"{json.order.big}", "12345678901234567890"},
		{"{json.e}", "1e3"},
		{"{json.order.tags.1}", "b"},
		{"{json.order.tags}", `["a","b"]`},
		{"{json.order.ok}", "true"},
		{"{json.order.s}", "x\ny"},
		{`{{"s":{json.order.s|json},"id":{json.order.id|json},"key":{key|json}}}`, `{"s":"x\ny","id":7,"key":"order.created.eu"}`},
		{"{json}", strings.Replace(string(sample.Body), " ", "", 1)},
		{"{body}", string(sample.Body)},
	} {
		bed := feedtest.New(t)
		bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic, s.Data = "in", c.template }), Source: newQueue(sample)})
		feedtest.Await(t, c.template, func() error { return feedtest.Not(bed.Hub.Log().Head() == 1, "nothing") })
		if got := bed.Data("in"); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s is %q, dead %q; want %q", c.template, got, bed.Data("dead"), c.want)
		}
	}
}

func TestTopicTemplates(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"in/{key}", "in/order.created.eu"},
		{"in/{key|dots}", "in/order/created/eu"},
		{"in/{header.slash|path}", "in/a/b"},
		{"in/{header.slash}", ""},
		{"in/{header.slash|dots}", ""},
		{"in/{json.order.tags}", ""},
		{"in/{json.order.tags.2}", ""},
		{"in/{json.order.tags.x}", ""},
		{"in/{json.order.id.x}", ""},
		{"in/{json.order.none}", ""},
		{"in/{header.empty}", ""},
		{"in/{header.empty}x", "in/x"},
	} {
		bed := feedtest.New(t)
		bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic = c.template }), Source: newQueue(sample)})
		feedtest.Await(t, c.template, func() error { return feedtest.Not(bed.Hub.Log().Head() == 1, "nothing") })
		got := ""
		if es := bed.Entries("in/**"); len(es) == 1 {
			got = es[0].Topics[0]
		}
		if got != c.want || (c.want == "") != (len(bed.Data("dead")) == 1) {
			t.Errorf("%s is %q, dead %q; want %q", c.template, got, bed.Data("dead"), c.want)
		}
	}
}

func TestBodiesThatAreNoObjects(t *testing.T) {
	for _, c := range []struct{ body, template, want string }{
		{`["a",{"b":2}]`, "{json.1.b}", "2"},
		{`[1]`, "{json.b?}", ""},
		{`7`, "{json.b?}", ""},
		{`7`, "{json}", "7"},
		{`null`, "{json.a?}", ""},
	} {
		bed := feedtest.New(t)
		bed.Start(feed.Options{Spec: spec(func(s *feed.Spec) { s.Topic, s.Data = "in", c.template }), Source: newQueue(feed.Message{Body: []byte(c.body)})})
		bed.AwaitData("in", []string{c.want})
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	for template, want := range map[string]string{
		"a}":            "} at byte 1 closes nothing",
		"a{b":           "{ at byte 1 is not closed",
		"{what}":        "{what} is not known",
		"{key.x}":       "key has no parts",
		"{header}":      "{header.NAME}",
		"{json.a..b}":   "a part of the path is empty",
		"{key|upper}":   `"upper" is not known after |`,
		"weir/{key}":    "reserved for the server",
		"a//b":          "empty segment",
		"a/*":           `"*" in a name`,
		"{header.x|}}x": "closes nothing",
	} {
		s := spec(func(s *feed.Spec) { s.Topic = template })
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Check() = %v, want %q", template, err, want)
		}
	}
	s := spec(func(s *feed.Spec) { s.Data = "{key|dots}" })
	if err := s.Check(); err == nil {
		t.Error("dots is accepted outside of a topic")
	}
}

// FuzzTopicsStayBelowTheirPrefix tries to have a sender leave the prefix.
func FuzzTopicsStayBelowTheirPrefix(f *testing.F) {
	for _, key := range []string{"a", "../weir", "a/b", ".", "weir", "a\x00", "%2F", "\u202e", ""} {
		f.Add(key, false)
		f.Add(key, true)
	}
	f.Fuzz(func(t *testing.T, key string, path bool) {
		template := "shop/{key?}/x"
		if path {
			template = "shop/{key?|path}/x"
		}
		name, err := feed.RenderTopic(template, feed.Message{Key: key})
		if err == nil && (!strings.HasPrefix(name, "shop/") || !path && strings.Count(name, "/") != 2) {
			t.Errorf("key %q makes the topic %q of %s", key, name, template)
		}
	})
}
