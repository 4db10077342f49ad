package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/webhook"
)

// loadWebhooks reads a settings file with webhooks.
func loadWebhooks(text string) ([]webhook.Spec, string, error) {
	s := new(Settings)
	t := newTable(s)
	err := errors.Join((&file{path: "weir.yaml"}).load(t, []byte(text))...)
	return s.Webhooks, t.find("webhooks").text(), err
}

func TestWebhooksAreRead(t *testing.T) {
	got, text, err := loadWebhooks(`
webhooks:
  app:
    url: https://app.example/hooks/hush?key=hush
    secret-file: /run/secrets/hook
    topics: ["room/**", news]
    events: [join, leave, message]
    batch: 500
    timeout: 3s
    give-up: 48h
    dead-letter: dead/hooks
  b: {url: "http://127.0.0.1:3000", secret-file: s, topics: "a/*,b"}
`)
	want := []webhook.Spec{
		{Name: "app", URL: "https://app.example/hooks/hush?key=hush", SecretFile: "/run/secrets/hook", Topics: []string{"room/**", "news"}, Events: []string{"join", "leave", "message"},
			Batch: 500, Timeout: 3 * time.Second, GiveUp: 48 * time.Hour, DeadLetter: "dead/hooks"},
		{Name: "b", URL: "http://127.0.0.1:3000", SecretFile: "s", Topics: []string{"a/*", "b"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if text != "app (https://app.example),b (http://127.0.0.1:3000)" {
		t.Errorf("they are shown as %s", text)
	}
}

func TestWrongWebhooksAreExplained(t *testing.T) {
	const good = "url: https://h/p, secret-file: s, topics: a"
	for text, want := range map[string]string{
		"webhooks: [a]":                                                                                   "weir.yaml:1: webhooks: takes keys and values, not a list",
		"webhooks: {a: b}":                                                                                `weir.yaml:1: webhooks.a: takes keys and values, not "b"`,
		"webhooks: {a: {ulr: x}}":                                                                         `weir.yaml:1: webhooks.a: unknown key "ulr"; did you mean "url"?`,
		"webhooks: {a b: {" + good + "}}":                                                                 `"a b" is not a name: want 1 to 64 letters, digits, - and _`,
		"webhooks: {a: {" + good + "}, a: {}}":                                                            `the webhook "a" is on line 1 and again on line 1`,
		"webhooks: {a: {secret-file: s, topics: a}}":                                                      "weir.yaml:1: webhooks.a: has no url: add url: https://HOST/PATH",
		"webhooks: {a: {url: 'ftp://u:hush@h'}}":                                                          "url is not one: write it like https://app.example/hooks/weir",
		"webhooks: {a: {url: 'https://u:hush@h'}}":                                                        "url holds a name or password: leave them out, requests are signed",
		"webhooks: {a: {url: 'https://u:hush@h/%zz'}}":                                                    "url is not one",
		"webhooks: {a: {url: 'https:///hush'}}":                                                           "url is not one",
		"webhooks: {a: {url: 'https://h', topics: a}}":                                                    "needs secret-file: PATH",
		"webhooks: {a: {url: 'https://h', secret-file: s}}":                                               "has 0 topics, want 1 to 100: add topics: [PATTERN]",
		"webhooks: {a: {" + good + ", topics: b}}":                                                        `the key "topics" is on line 1 and again on line 1`,
		"webhooks: {a: {url: 'https://h', secret-file: s, topics: a/**/b}}":                               `topics: pattern "a/**/b": "**" before the last segment at byte 2`,
		"webhooks: {a: {url: 'https://h', secret-file: s, topics: weir/stats}}":                           `topics: "weir/stats" is about the server itself`,
		"webhooks: {a: {url: 'https://h', secret-file: s, topics: " + strings.Repeat("t", 250) + "}}":     "limit 255",
		"webhooks: {a: {url: 'https://h', secret-file: s, topics: [" + strings.Repeat("t,", 101) + "t]}}": "has 102 topics, want 1 to 100",
		"webhooks: {a: {" + good + ", events: [joined]}}":                                                 `events: "joined" is not one of occupied, vacated, join, leave, connect, disconnect, message`,
		"webhooks: {a: {" + good + ", batch: 0}}":                                                         "weir.yaml:1: webhooks.a.batch: 0 is below the limit 1",
		"webhooks: {a: {" + good + ", batch: 1001}}":                                                      "1001 is above the limit 1000",
		"webhooks: {a: {" + good + ", batch: many}}":                                                      `"many" is not a whole number`,
		"webhooks: {a: {" + good + ", timeout: 10}}":                                                      `"10" is not a duration: give the unit, as in 10s`,
		"webhooks: {a: {" + good + ", timeout: 6m}}":                                                      "6m is above the limit 5m",
		"webhooks: {a: {" + good + ", give-up: 1ms}}":                                                     "1ms is below the limit 1s",
		"webhooks: {a: {" + good + ", dead-letter: a/*}}":                                                 `dead-letter: topic "a/*"`,
		"webhooks: {a: {" + good + ", dead-letter: weir/dead}}":                                           "dead-letter: the prefix weir/ is reserved for the server",
		manyWebhooks(101): "weir.yaml:1: webhooks: has 101 entries, limit 100",
	} {
		if _, _, err := loadWebhooks(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.200s: %v, want %q", text, err, want)
		}
	}
}

func manyWebhooks(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("a%d: {}", i))
	}
	return "webhooks: {" + strings.Join(names, ", ") + "}"
}
