package feed_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
)

func TestSpecs(t *testing.T) {
	for _, c := range []struct {
		spec feed.Spec
		kind feed.Kind
		want string // what Check says; "": nothing
	}{
		{feed.Spec{From: "amqp://h", Queue: "q"}, feed.AMQP, ""},
		{feed.Spec{From: "amqps://h", Exchange: "e", Bindings: []string{"a"}, Prefetch: 1, CAFile: "f"}, feed.AMQP, ""},
		{feed.Spec{From: "amqp://h", Exchange: "e", Queue: "q", Declare: true}, feed.AMQP, ""},
		{feed.Spec{From: "amqp://h"}, feed.AMQP, "has nothing to read: add queue"},
		{feed.Spec{From: "amqp://h", Exchange: "e", Declare: true}, feed.AMQP, "declare needs the name of a queue"},
		{feed.Spec{From: "amqp://h", Exchange: "e", Queue: "q"}, feed.AMQP, "needs declare: true"},
		{feed.Spec{From: "amqp://h", Queue: "q", Bindings: []string{"a"}}, feed.AMQP, "binding needs an exchange"},
		{feed.Spec{From: "amqp://h", Queue: "q", List: "l"}, feed.AMQP, "list does not go with the source, amqp"},
		{feed.Spec{From: "amqp://h", Queue: "q", Prefetch: 65_536}, feed.AMQP, "prefetch is 65536, want 1 to 65535"},
		{feed.Spec{From: "redis://h", Channels: []string{"a"}}, feed.RedisPubSub, ""},
		{feed.Spec{From: "rediss://h", Patterns: []string{"a"}}, feed.RedisPubSub, ""},
		{feed.Spec{From: "redis://h"}, feed.RedisPubSub, "add channels, patterns, list or stream"},
		{feed.Spec{From: "redis+unix:///s", List: "l", Pop: "right", Consumer: "c"}, feed.RedisList, ""},
		{feed.Spec{From: "redis://h", List: "l", Pop: "up"}, feed.RedisList, `pop is "up"`},
		{feed.Spec{From: "redis://h", List: "l", Stream: "s"}, feed.RedisList, "stream does not go with the source"},
		{feed.Spec{From: "redis://h", Stream: "s", Group: "g", Start: "end", Declare: true}, feed.RedisStream, ""},
		{feed.Spec{From: "redis://h", Stream: "s", Start: "x"}, feed.RedisStream, `start is "x"`},
		{feed.Spec{Command: "c"}, feed.Command, ""},
		{feed.Spec{Command: "c", File: "f"}, feed.Command, "file does not go with the source, command"},
		{feed.Spec{Command: "c", Prefetch: 1}, feed.Command, "prefetch does not go"},
		{feed.Spec{File: "f", Start: "begin"}, feed.File, ""},
		{feed.Spec{File: "f", From: "redis://h", List: "l"}, feed.RedisList, "file does not go"},
		{feed.Spec{}, "", "has no source"},
		{feed.Spec{From: "gopher://u:hush@h"}, "", `scheme "gopher"`},
		{feed.Spec{From: "amqp://u:hu%zzsh@h"}, feed.AMQP, "from is not a URL"},
		{feed.Spec{Command: "c", DeadLetter: "weir/x"}, feed.Command, "reserved for the server"},
		{feed.Spec{Command: "c", DeadLetter: "a//b"}, feed.Command, "dead-letter: topic"},
		{feed.Spec{Command: "c", Name: "a/b"}, feed.Command, "is not a name"},
		{feed.Spec{Command: "c", Topic: "-"}, feed.Command, "has no topic"},
		{feed.Spec{Command: "c", Type: "{x}"}, feed.Command, "type: template"},
	} {
		if c.spec.Name == "" {
			c.spec.Name = "test"
		}
		switch c.spec.Topic {
		case "":
			c.spec.Topic = "t"
		case "-":
			c.spec.Topic = ""
		}
		if got := c.spec.Kind(); got != c.kind {
			t.Errorf("%+v: Kind() = %q, want %q", c.spec, got, c.kind)
		}
		err := c.spec.Check()
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: Check() = %v, want %q", c.spec, err, c.want)
		case err != nil && strings.Contains(err.Error(), "sh@"):
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func TestTextOfASpecHasNoPassword(t *testing.T) {
	for _, c := range []struct {
		spec feed.Spec
		want string
	}{
		{feed.Spec{From: "amqp://u:hush@h/v"}, "amqp://u:xxxxx@h/v"},
		{feed.Spec{From: "redis://:hush@h"}, "redis://:xxxxx@h"},
		{feed.Spec{From: "amqp://u:%zz@h"}, "?"},
		{feed.Spec{Command: "vmstat 1"}, "command vmstat 1"},
		{feed.Spec{File: "/a"}, "file /a"},
	} {
		if got := c.spec.String(); got != c.want {
			t.Errorf("String() = %q, want %q", got, c.want)
		}
	}
}
