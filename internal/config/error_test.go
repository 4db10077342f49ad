package config_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

func flags(name, value string) config.Input {
	return config.Input{Flags: map[string][]string{name: {value}}}
}

func variable(name, value string) config.Input {
	return config.Input{Environ: []string{name + "=" + value}}
}

func TestWrongValuesNameSettingValueAndLimit(t *testing.T) {
	for _, c := range []struct {
		in   config.Input
		want string
	}{
		{flags("stream.heartbeat", "20"), `--stream.heartbeat: "20" is not a duration: give the unit, as in 20s`},
		{flags("stream.heartbeat", "2d"), `--stream.heartbeat: "2d" is not a duration: write it like 500ms, 15s, 2m or 24h`},
		{flags("stream.heartbeat", "10ms"), "--stream.heartbeat: 10ms is below the limit 1s"},
		{flags("stream.heartbeat", "-5s"), "--stream.heartbeat: -5s is below the limit 1s"},
		{flags("stream.heartbeat", "61m"), "--stream.heartbeat: 1h1m is above the limit 1h"},
		{flags("stream.retry", "0"), "--stream.retry: 0 is below the limit 100ms"},
		{flags("stream.heartbeat", ""), `--stream.heartbeat: "" is not a duration: write it like 500ms, 15s, 2m or 24h`},
		{variable("WEIR_HUB_MAX_MESSAGE", "1MB"), `WEIR_HUB_MAX_MESSAGE: "1MB" is not a size: write it like 512, 64KiB, 1MiB or 2GiB`},
		{variable("WEIR_HUB_MAX_MESSAGE", "1GiB"), "WEIR_HUB_MAX_MESSAGE: 1GiB is above the limit 64MiB"},
		{variable("WEIR_HUB_MAX_MESSAGE", "9000000TiB"), "WEIR_HUB_MAX_MESSAGE: 9000000TiB is above the limit 64MiB"},
		{variable("WEIR_HUB_MAX_MESSAGE", "0"), "WEIR_HUB_MAX_MESSAGE: 0 is below the limit 1"},
		{variable("WEIR_HUB_MAX_TOPICS_PER_READER", "many"), `WEIR_HUB_MAX_TOPICS_PER_READER: "many" is not a whole number`},
		{variable("WEIR_HUB_MAX_TOPICS_PER_READER", "100001"), "WEIR_HUB_MAX_TOPICS_PER_READER: 100001 is above the limit 100000"},
		{variable("WEIR_OPEN", "maybe"), `WEIR_OPEN: "maybe" is neither true nor false`},
		{flags("hub.policy", "dif"), `--hub.policy: "dif" is not one of all, diff, reset; did you mean "diff"?`},
		{flags("hub.slow", "whatever"), `--hub.slow: "whatever" is not one of catch-up, latest, close`},
		{flags("cors.origins", "https://a.example/"), `--cors.origins: "https://a.example/" is not an origin: write scheme, host and port only, as in https://example.com or http://localhost:3000, without a path, a slash at the end or a user name`},
		{flags("cors.origins", "a.example"), `--cors.origins: "a.example" is not an origin: write scheme, host and port only, as in https://example.com or http://localhost:3000`},
	} {
		refuses(t, c.in, c.want)
	}
}

func TestWrongListenersAreExplained(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"8080", `"8080" is not an address: write host:port, [::1]:8080, tls:host:port or unix:/path`},
		{"localhost:http", `port "http" of "localhost:http" is not a number from 0 to 65535`},
		{"localhost:65536", `port "65536" of "localhost:65536" is not a number from 0 to 65535`},
		{"http://[::1]:8080", `"http://[::1]:8080" is not an address: write host:port, [::1]:8080, tls:host:port or unix:/path`},
		{"//localhost:8080", `"//localhost:8080" is not an address: leave out the scheme and write host:port`},
		{"unix:", `"unix:" names no socket: write unix:/path/weir.sock`},
		{"127.0.0.1:80,127.0.0.1:080", "127.0.0.1:80 is given twice"},
		{"unix:/a/b,unix:/a/./b", "unix:/a/b is given twice"},
		{"", "names no address"},
		{"0.0.0.0:8288", beyond("0.0.0.0:8288")},
		{":8080", beyond(":8080")},
		{"[::]:8080", beyond("[::]:8080")},
		{"example.com:80", beyond("example.com:80")},
	} {
		refuses(t, flags("listen", c.text), "--listen: "+c.want)
	}
}

func beyond(address string) string {
	return address + " can be reached from other machines and anybody could do anything: say who may, as with --access.secret-file FILE, allow it to all with --open, or listen on 127.0.0.1"
}

func TestAccessAndTLSMustFitTogether(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"open: true\naccess.secret-file: s\n", "weir.yaml:1: open: open lets anybody do anything, so access control would not count: leave one of them out, or name what anybody may do with access.anonymous-subscribe"},
		{"access.anonymous-publish: [a]\n", "weir.yaml:1: access.anonymous-publish: anybody may do anything while no key says who is who: set access.secret-file, access.api-keys-file, or another source of keys"},
		{"access.secret: " + strings.Repeat("x", 32) + "\naccess.secret-file: s\n", "weir.yaml:1: access.secret: access.secret and access.secret-file are both set: want one"},
		{"access.secret: short\n", "weir.yaml:1: access.secret: the secret has 5 bytes, want 32 or more: make one with openssl rand -base64 32"},
		{"access.jwks-url: example.com\n", `weir.yaml:1: access.jwks-url: "example.com" is not a URL: write it like https://example.com/path`},
		{"access.forward-url: http://u:p@example.com\n", "weir.yaml:1: access.forward-url: a URL with a user name would put a password into logs"},
		{"access.cookie: \"a b\"\n", `weir.yaml:1: access.cookie: "a b" is not the name of a cookie`},
		{"access:\n  api-keys:\n  - {name: a, sha256: mykey}\n", "weir.yaml:3: access.api-keys[0].sha256: is not the SHA-256 of a key: want 64 hexadecimal digits, as printed by weir token key"},
		{"access:\n  api-keys:\n  - {name: a}\n", "weir.yaml:3: access.api-keys[0]: needs a name and the SHA-256 of the key: {name: NAME, sha256: HEX, publish: PATTERNS}"},
		{"access:\n  api-keys:\n  - {name: a, sha256: " + strings.Repeat("0", 64) + ", publish: [a, \"b/**/c\"]}\n", `weir.yaml:3: access.api-keys[0].publish: pattern "b/**/c": "**" before the last segment at byte 2`},
		{"listen: tls:127.0.0.1:443\n", "weir.yaml:1: listen: tls:127.0.0.1:443 needs a certificate: set tls.cert-file and tls.key-file, or tls.acme-domains"},
		{"tls.cert-file: a\ntls.key-file: b\n", "weir.yaml:1: tls.cert-file: there is a certificate but no listener with TLS: listen on tls:host:port"},
		{"tls.cert-file: a\nlisten: tls:127.0.0.1:443\n", "weir.yaml:1: tls.cert-file: tls.cert-file and tls.key-file belong together, and one is not set"},
		{"tls:\n  certificates:\n  - {cert: a}\n", "weir.yaml:3: tls.certificates[0]: needs both files: {cert: FILE, key: FILE}"},
		{"tls.acme-domains: [\"*.example.com\"]\n", `weir.yaml:1: tls.acme-domains: "*.example.com" is not a domain: write it like live.example.com, without * or port`},
		{"tls.acme-domains: a.example\nlisten: tls:127.0.0.1:443\n", "weir.yaml:1: tls.acme-domains: certificates need a place where they outlive a restart: set tls.acme-cache or data"},
		{"data: d\nnodes.log: redis://h\n", "weir.yaml:1: data: the log is either in data, for this server alone, or where nodes.log says: leave one of them out"},
		{"nodes.log: http://u:p@h\n", "weir.yaml:1: nodes.log: is not the URL of a shared log: write it like redis://host:6379, redis+sentinel://host:26379/NAME or nats://host:4222, with rediss or tls for TLS"},
		{"nodes.name: a b\n", `weir.yaml:1: nodes.name: "a b" is not a name: want 1 to 64 letters, digits and -._`},
		{"proxy.protocol: true\n", "weir.yaml:1: proxy.protocol: proxy.protocol says something about the proxies of proxy.trusted, and there are none"},
		{"trace.ratio: 2\n", `weir.yaml:1: trace.ratio: "2" is not a number from 0 to 1`},
	} {
		refuses(t, config.Input{File: inFile(t, c.yaml)}, c.want)
	}
}

func TestLimitsDependOnWhoCanReachTheServer(t *testing.T) {
	for _, c := range []struct {
		flags                    []string
		streams, publish, replay int
	}{
		{nil, 0, 0, 0},
		{[]string{"limits.streams-per-ip=5"}, 5, 0, 0},
		{[]string{"proxy.trusted=loopback"}, 1000, 100, 4 << 20},
		{[]string{"listen=0.0.0.0:80", "open=true"}, 1000, 100, 4 << 20},
		{[]string{"listen=0.0.0.0:80", "open=true", "limits.streams-per-ip=-1", "limits.publish-per-ip=-1", "limits.replay-per-client=-1"}, 0, 0, 0},
	} {
		l := load(t, with(config.Input{}, c.flags)).Settings.Limits
		if l.StreamsPerIP != c.streams || l.PublishPerIP != c.publish || int(l.ReplayPerClient) != c.replay {
			t.Errorf("%q: %d streams, %d messages, %d bytes; want %d, %d, %d", c.flags, l.StreamsPerIP, l.PublishPerIP, l.ReplayPerClient, c.streams, c.publish, c.replay)
		}
	}
}

func TestWrongFilesNameTheLine(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"page: true\nhub:\n  max-mesage: 1\n", `weir.yaml:3: unknown key "hub.max-mesage"; did you mean "hub.max-message"?`},
		{"hubs:\n  x: 1\n", `weir.yaml:1: unknown key "hubs"`},
		{"history.max_age: 1h\n", `weir.yaml:1: unknown key "history.max_age"; did you mean "history.max-age"?`},
		{"hub:\n  max-message: big\n", `weir.yaml:2: hub.max-message: "big" is not a size: write it like 512, 64KiB, 1MiB or 2GiB`},
		{"hub:\n  max-message: true\n", `weir.yaml:2: hub.max-message: "true" is not a size: write it like 512, 64KiB, 1MiB or 2GiB`},
		{"open: 7\n", `weir.yaml:1: open: "7" is neither true nor false`},
		{"hub:\n  policy:\n", "weir.yaml:2: hub.policy: has no value"},
		{"hub:\n  policy: [all]\n", "weir.yaml:2: hub.policy: takes a plain value, not a list"},
		{"hub:\n  policy: {a: b}\n", "weir.yaml:2: hub.policy: takes a plain value, not a mapping"},
		{"hub:\n  policy: |\n    all\n", "weir.yaml:2: hub.policy: takes a plain value, not a block of text"},
		{"hub: 5\n", `weir.yaml:1: hub: takes keys and values, not "5"`},
		{"- a\n", "weir.yaml:1: takes keys and values, not a list"},
		{"hello\n", `weir.yaml:1: takes keys and values, not "hello"`},
		{"hub:\n  policy: all\n\n  policy: diff\n", `weir.yaml:4: hub: the key "policy" is on line 2 and again on line 4`},
		{"page: true\npage: true\n", `weir.yaml:2: the key "page" is on line 1 and again on line 2`},
		{"hub.policy: all\nhub:\n  policy: diff\n", "weir.yaml:3: hub.policy: is already set on line 1"},
		{"page: true\n---\npage: false\n", "weir.yaml:3: a second document starts here; a settings file has one"},
		{"a: &x 1\n", `weir.yaml:1: unknown key "a"`},
		{"page: &x true\n", "weir.yaml:1: page: takes a plain value, not an anchor (put a value that starts with & in quotes)"},
		{"page: !!bool true\n", "weir.yaml:1: page: takes a plain value, not a tag (put a value that starts with ! in quotes)"},
		{"cors:\n  origins:\n  - *all\n", "weir.yaml:3: cors.origins: takes a plain value, not an alias (put a value that starts with * in quotes)"},
		{"cors:\n  origins: *\n", "weir.yaml:2: not YAML: undefined alias name; a value that starts with * must be in quotes"},
		{"listen: [::1]:8080\n", "weir.yaml:1: not YAML: value is not allowed in this context; a value that starts with [ must be in quotes"},
		{"page: \"x\n", "weir.yaml:1: not YAML: could not find end character of double-quoted text"},
		{"<<: {page: true}\n", "weir.yaml:1: only plain keys are supported, not a merge key"},
		{"? a\n: b\n", "weir.yaml:1: only plain keys are supported, not a value of this kind"},
		{strings.Repeat("#", 1<<20+1), "weir.yaml: is larger than the limit 1MiB"},
		{"listen: 0.0.0.0:80\n", "weir.yaml:1: listen: " + beyond("0.0.0.0:80")},
	} {
		refuses(t, config.Input{File: inFile(t, c.yaml)}, c.want)
	}
}

func TestWrongNamedListenersNameBothLines(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{
			"listen:\n  event-stream: {listen: \"127.0.0.1:8288\"}\n  chunk: {listen: \"127.0.0.1:8289\"}\n  event-stream: {listen: \"127.0.0.1:8290\"}\n",
			`weir.yaml:4: listen: the listener name "event-stream" is on line 2 and again on line 4`,
		},
		{
			"listen:\n  a:\n    listen: 127.0.0.1:1\n  b:\n    listen: 127.0.0.1:1\n",
			`weir.yaml:4: listen: listeners "a" (line 2) and "b" (line 4) have the same address 127.0.0.1:1`,
		},
		{"listen:\n  a: {handler: api}\n", "weir.yaml:2: listen.a: has no address: add listen: host:port"},
		{"listen:\n  a: {listen: \"x\"}\n", `weir.yaml:2: listen.a.listen: "x" is not an address: write host:port, [::1]:8080, tls:host:port or unix:/path`},
		{"listen:\n  a: {listen: \":0\", handler: apis}\n", `weir.yaml:2: listen.a.handler: "apis" is not one of all, api, page, admin; did you mean "api"?`},
		{"listen:\n  a: {listen: \":0\", handlr: api}\n", `weir.yaml:2: listen.a: unknown key "handlr"; did you mean "handler"?`},
		{"listen:\n  a: 127.0.0.1:1\n", `weir.yaml:2: listen.a: takes keys and values, not "127.0.0.1:1"`},
		{"listen: {}\n", "weir.yaml:1: listen: names no address"},
		{"listen: []\n", "weir.yaml:1: listen: names no address"},
		{"listen:\n  - 127.0.0.1:1\n  - 127.0.0.1:1\n", "weir.yaml:2: listen: 127.0.0.1:1 is given twice"},
	} {
		refuses(t, config.Input{File: inFile(t, c.yaml)}, c.want)
	}
}

func TestWrongRulesAreExplained(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"5", `weir.yaml:2: history.topics: takes a list of rules, as in - {topic: "orders/**", max-age: 1h}`},
		{"[{max-age: 1h}]", "weir.yaml:2: history.topics[0]: has no topic: add topic: NAME or a pattern"},
		{"[{topic: a}, {topic: b, max-age: 1}]", `weir.yaml:2: history.topics[1].max-age: "1" is not a duration: give the unit, as in 1s`},
		{"[{topic: a, max-messages: -2}]", "weir.yaml:2: history.topics[0].max-messages: -2 is below the limit -1"},
		{"[{topic: a, max-byte: 1}]", `weir.yaml:2: history.topics[0]: unknown key "max-byte"; did you mean "max-bytes"?`},
		{"[{topic: a}, {topic: a}]", `weir.yaml:2: history.topics: a rule for "a" is already on line 2, so this one would never count`},
		{"[{topic: \"a/**/b\"}]", `weir.yaml:2: history.topics[0].topic: pattern "a/**/b": "**" before the last segment at byte 2`},
		{"[a]", `weir.yaml:2: history.topics[0]: takes keys and values, not "a"`},
	} {
		refuses(t, config.Input{File: inFile(t, "history:\n  topics: "+c.rules+"\n")}, c.want)
	}
}

func TestContradictionsAreBlamedOnWhatWasGiven(t *testing.T) {
	any := map[string][]string{"cors.origins": {"*"}, "cors.credentials": {"true"}}
	refuses(t, config.Input{Flags: any}, "--cors.credentials: cors.credentials cannot be combined with the origin *; list the origins")
	refuses(t, flags("drain.timeout", "2s"), "--drain.timeout: drain.window 5s is longer than drain.timeout 2s")
	refuses(t, variable("WEIR_HISTORY_TOTAL_BYTES", "64KiB"), "WEIR_HISTORY_TOTAL_BYTES: hub.max-message 1MiB is above history.total-bytes 64KiB")
}

func TestOverriddenMistakesStillCount(t *testing.T) {
	in := flags("hub.policy", "all")
	in.Environ = []string{"WEIR_HUB_POLICY=none"}
	refuses(t, in, `WEIR_HUB_POLICY: "none" is not one of all, diff, reset`)
}

func TestAllMistakesAreReported(t *testing.T) {
	in := flags("hub.policy", "x")
	in.Environ = []string{"WEIR_OPEN=x"}
	in.File = inFile(t, "pge: true\nlog:\n  level: loud\n")
	refuses(t, in, `weir.yaml:1: unknown key "pge"; did you mean "page"?
weir.yaml:3: log.level: "loud" is not one of debug, info, warn, error
WEIR_OPEN: "x" is neither true nor false
--hub.policy: "x" is not one of all, diff, reset`)
}

func refuses(t *testing.T, in config.Input, want string) {
	t.Helper()
	_, err := config.Load(in)
	if err == nil || err.Error() != want {
		t.Errorf("Load(%v) =\n%v\nwant\n%s", in, err, want)
		return
	}
	if n := len(config.Errors(err)); n != strings.Count(want, "\n")+1 {
		t.Errorf("Errors(%v) has %d entries", err, n)
	}
}
