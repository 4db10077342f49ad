package config

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
)

// loadFeeds reads a settings file with feeds.
func loadFeeds(text string) ([]feed.Spec, string, error) {
	t := newTable(new(Settings))
	var specs []feed.Spec
	if r := t.find("feeds"); r != nil {
		r.Name = "" // this test has its own
	}
	t.group("", "Feeds", "")
	t.feeds(&specs, "feeds", "help")
	err := errors.Join((&file{path: "weir.yaml"}).load(t, []byte(text))...)
	return specs, t.find("feeds").text(), err
}

func TestFeedsAreRead(t *testing.T) {
	got, text, err := loadFeeds(`
feeds:
  orders:
    from: amqp://u:hush@mq/shop
    queue: q
    exchange: e
    binding: [a.*, "b.#"]
    declare: true
    prefetch: 10
    password-file: /p
    ca-file: /c
    topic: "{key|dots}"
    type: "{header.x?}"
    key: k
    id: "{id}"
    data: "{json.a}"
    once: "{json.b}"
    state: true
    dead-letter: dead
  b: {from: redis://h, channels: a, patterns: "b,c", topic: t}
  c: {from: redis://h, list: l, pop: right, consumer: me, topic: t}
  d: {from: redis://h, stream: s, group: g, start: end, topic: t}
  e: {command: "vmstat 1", topic: t}
  f: {file: /var/log/x, topic: t}
`)
	want := []feed.Spec{
		{Name: "orders", From: "amqp://u:hush@mq/shop", Queue: "q", Exchange: "e", Bindings: []string{"a.*", "b.#"}, Declare: true, Prefetch: 10,
			PasswordFile: "/p", CAFile: "/c", Topic: "{key|dots}", Type: "{header.x?}", Key: "k", ID: "{id}", Data: "{json.a}", Once: "{json.b}", State: true, DeadLetter: "dead"},
		{Name: "b", From: "redis://h", Channels: []string{"a"}, Patterns: []string{"b", "c"}, Topic: "t"},
		{Name: "c", From: "redis://h", List: "l", Pop: "right", Consumer: "me", Topic: "t"},
		{Name: "d", From: "redis://h", Stream: "s", Group: "g", Start: "end", Topic: "t"},
		{Name: "e", Command: "vmstat 1", Topic: "t"},
		{Name: "f", File: "/var/log/x", Topic: "t"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if strings.Contains(text, "hush") || !strings.HasPrefix(text, "orders (amqp://u:xxxxx@mq/shop to {key|dots}),b (redis://h to t)") {
		t.Errorf("they are shown as %s", text)
	}
}

func TestWrongFeedsAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"feeds: [a]":                             "takes keys and values, not a list",
		"feeds: {a: b}":                          "takes keys and values",
		"feeds: {a: {queu: q}}":                  `unknown key "queu"; did you mean "queue"?`,
		"feeds: {a: {file: f}}":                  "weir.yaml:1: feeds.a: has no topic",
		"feeds: {a: {topic: t}}":                 "has no source",
		"feeds: {a b: {file: f, topic: t}}":      `"a b" is not a name`,
		"feeds:\n  a:\n    topic: {key}\n":       "weir.yaml:3: feeds.a.topic: a value that starts with { must be in quotes",
		"feeds: {a: {file: f, topic: 'a{'}}":     "is not closed",
		"feeds: {a: {file: f, prefetch: x}}":     "prefetch",
		"feeds: {a: {file: f, declare: what}}":   `"what" is neither true nor false`,
		"feeds: {a: {file: f, topic: t}, a: {}}": `the feed "a" is on line 1 and again on line 1`,
	} {
		if _, _, err := loadFeeds(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestDocumentedFeedsLoad reads the examples of docs/feeds.md.
func TestDocumentedFeedsLoad(t *testing.T) {
	doc, err := os.ReadFile("../../docs/feeds.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```$").FindAllStringSubmatch(string(doc), -1) {
		specs, _, err := loadFeeds(m[1])
		if err != nil || len(specs) == 0 {
			t.Errorf("%s\n%d feeds, %v", m[1], len(specs), err)
		}
		n += len(specs)
	}
	if n < 6 {
		t.Errorf("%d feeds are documented, want one of each kind", n)
	}
}
