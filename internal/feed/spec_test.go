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
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a/+/b", "#", "+/+/#", "/", "$share/g/a/#", "$SYS/x"}, QoS: "2", Consumer: "c", Prefetch: 1}, feed.MQTT, ""},
		{feed.Spec{From: "mqtts://u:hu%zzsh@h", Subscribe: []string{"a"}}, feed.MQTT, "from is not a URL"},
		{feed.Spec{From: "mqtt://u:hush@h"}, feed.MQTT, "has nothing to read: add subscribe"},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a"}, QoS: "3"}, feed.MQTT, `qos is "3"`},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a"}, Queue: "q"}, feed.MQTT, "queue does not go with the source, mqtt"},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a", ""}}, feed.MQTT, "want 1 to 65535 bytes"},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"#/a"}}, feed.MQTT, `"#/a" is not a filter`},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a+/b"}}, feed.MQTT, `"a+/b" is not a filter`},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"a/b#"}}, feed.MQTT, `"a/b#" is not a filter`},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"$share/g"}}, feed.MQTT, "want $share/GROUP/FILTER"},
		{feed.Spec{From: "mqtt://h", Subscribe: []string{"$share/+/a"}}, feed.MQTT, "want $share/GROUP/FILTER"},
		{feed.Spec{From: "nats://h", Subscribe: []string{"a.*"}, Group: "g", Prefetch: 9}, feed.NATS, ""},
		{feed.Spec{From: "nats+tls://h", Subscribe: []string{"a"}, Start: "end"}, feed.NATS, "start does not go with the source, nats subjects"},
		{feed.Spec{From: "nats://h"}, feed.NATS, "add subscribe: [SUBJECT, ...], or stream"},
		{feed.Spec{From: "nats://h", Stream: "S", Consumer: "c", Start: "end", CAFile: "f"}, feed.JetStream, ""},
		{feed.Spec{From: "nats://h", Stream: "S", Subscribe: []string{"a"}, Declare: true}, feed.JetStream, ""},
		{feed.Spec{From: "nats://h", Stream: "S", Declare: true}, feed.JetStream, "declare needs the subjects of the stream"},
		{feed.Spec{From: "nats://h", Stream: "S", Group: "g"}, feed.JetStream, "group does not go with the source, nats stream"},
		{feed.Spec{From: "postgres://h/d", Table: "s.t", Notify: strings.Repeat("n", 63), Declare: true, Prefetch: 9, CAFile: "f"}, feed.PostgreSQL, ""},
		{feed.Spec{From: "postgresql:///d?host=/run", Table: "t", PasswordFile: "f"}, feed.PostgreSQL, ""},
		{feed.Spec{From: "postgres://h"}, feed.PostgreSQL, "add table: NAME"},
		{feed.Spec{From: "postgres://h", Table: "t", Notify: strings.Repeat("n", 64)}, feed.PostgreSQL, "notify has 64 bytes, limit 63"},
		{feed.Spec{From: "postgres://h", Table: "t", Queue: "q"}, feed.PostgreSQL, "queue does not go with the source, postgres"},
		{feed.Spec{From: "kafka://a:9092,b:9092", Subscribe: []string{"t"}, Group: "g", Start: "end", Prefetch: 10}, feed.Kafka, ""},
		{feed.Spec{From: "kafka+tls://u@h?sasl=scram-sha-256", Subscribe: []string{"t"}, CAFile: "f", PasswordFile: "p"}, feed.Kafka, ""},
		{feed.Spec{From: "kafka://h"}, feed.Kafka, "add subscribe: [TOPIC, ...]"},
		{feed.Spec{From: "kafka://h", Subscribe: []string{"t"}, Consumer: "c"}, feed.Kafka, "consumer does not go with the source, kafka"},
		{feed.Spec{Command: "c"}, feed.Command, ""},
		{feed.Spec{Command: "c", File: "f"}, feed.Command, "file does not go with the source, command"},
		{feed.Spec{Command: "c", Prefetch: 1}, feed.Command, "prefetch does not go"},
		{feed.Spec{File: "f", Start: "begin"}, feed.File, ""},
		{feed.Spec{File: "f", From: "redis://h", List: "l"}, feed.RedisList, "file does not go"},
		{feed.Spec{Webhook: "standard", SecretFile: "f"}, feed.Webhook, ""},
		{feed.Spec{Webhook: "open"}, feed.Webhook, ""},
		{feed.Spec{Webhook: "github"}, feed.Webhook, "webhook: github needs secret-file: PATH"},
		{feed.Spec{Webhook: "open", SecretFile: "f"}, feed.Webhook, "secret-file does not go with webhook: open"},
		{feed.Spec{Webhook: "gitlab", SecretFile: "f"}, feed.Webhook, `webhook is "gitlab", want one of standard, github, stripe, bearer, open`},
		{feed.Spec{Webhook: "open", Prefetch: 1}, feed.Webhook, "prefetch does not go with the source, webhook"},
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
		{feed.Spec{From: "kafka://u:hush@a:1,b:2"}, "kafka://u:xxxxx@a:1,b:2"},
		{feed.Spec{From: "amqp://u:%zz@h"}, "?"},
		{feed.Spec{From: "nats://token@h"}, "nats://xxxxx@h"},
		{feed.Spec{From: "nats://u:hush@h"}, "nats://u:xxxxx@h"},
		{feed.Spec{Command: "vmstat 1"}, "command vmstat 1"},
		{feed.Spec{File: "/a"}, "file /a"},
		{feed.Spec{Webhook: "stripe", SecretFile: "/a"}, "webhook stripe"},
	} {
		if got := c.spec.String(); got != c.want {
			t.Errorf("String() = %q, want %q", got, c.want)
		}
	}
}
