package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// inFile writes text to weir.yaml in an empty directory, which becomes the
// current one, so that messages show the short name.
func inFile(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("weir.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "weir.yaml"
}

func load(t *testing.T, in config.Input) *config.Loaded {
	t.Helper()
	loaded, err := config.Load(in)
	if err != nil {
		t.Fatalf("Load(%v) = %v", in, err)
	}
	return loaded
}

func value(t *testing.T, l *config.Loaded, name string) config.Value {
	t.Helper()
	for _, v := range l.Values {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no value named %q", name)
	return config.Value{}
}

func TestDefaultsNeedNoInput(t *testing.T) {
	s := load(t, config.Input{}).Settings
	want := &config.Settings{
		Listen: []config.Listener{{Name: "main", Network: "tcp", Address: "127.0.0.1:8080", Handler: "all"}},
		Page:   true, Metrics: true,
		Stream: config.Stream{Heartbeat: 20 * time.Second, Retry: 2 * time.Second, Buffer: 1 << 20, UserTimeout: time.Minute},
		Hub:    config.Hub{MaxMessage: 1 << 20, MaxTopicsPerReader: 100, Policy: "diff", Slow: "catch-up"},
		History: config.History{MaxMessages: 10000, MaxAge: 24 * time.Hour, MaxBytes: 16 << 20, TotalBytes: 256 << 20, MaxTopics: 100_000,
			IdempotencyWindow: 10 * time.Minute, IdempotencyKeys: 1_000_000},
		Disk:     config.Disk{Durability: "always", Interval: 100 * time.Millisecond, Memory: 64 << 20},
		Nodes:    config.Nodes{Name: "weir", Wait: 5 * time.Second},
		Presence: config.Presence{Grace: 5 * time.Second, Users: 100_000},
		HTTP:     config.HTTP{HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeader: 64 << 10, MaxStreams: 250},
		Access:   config.Access{Leeway: 30 * time.Second, Forward: config.Forward{Timeout: 5 * time.Second, Cache: 10 * time.Second}, Cookie: "__Host-weir", Tickets: 16_384},
		Limits:   config.Limits{StreamsPerUser: 100, IPv6Prefix: 64, Clients: 100_000},
		TLS:      config.TLS{MinVersion: "1.2"},
		Proxy:    config.Proxy{Header: "X-Forwarded-For"},
		Trace:    config.Trace{Ratio: 0.01},
		Durable:  config.Durable{Prefix: "/v1/streams/", Wait: 20 * time.Second},
		Drain:    config.Drain{Window: 5 * time.Second, Timeout: 30 * time.Second},
		Log:      config.Log{Format: "text", Level: "info"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("defaults are\n%+v, want\n%+v", s, want)
	}
}

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	const name = "stream.heartbeat"
	in := config.Input{}
	for _, step := range []struct {
		add          func()
		text, origin string
	}{
		{func() {}, "20s", "default"},
		{func() { in.File = inFile(t, "page: true\nstream:\n  heartbeat: 11s\n") }, "11s", "weir.yaml:3"},
		{func() { in.Environ = []string{"HOME=/", "WEIR_STREAM_HEARTBEAT=12s"} }, "12s", "WEIR_STREAM_HEARTBEAT"},
		{func() { in.Flags = map[string][]string{name: {"13s"}} }, "13s", "--stream.heartbeat"},
	} {
		step.add()
		l := load(t, in)
		v := value(t, l, name)
		if v.Text != step.text || v.Origin.String() != step.origin {
			t.Errorf("%s is %s from %v, want %s from %s", name, v.Text, v.Origin, step.text, step.origin)
		}
		if got := config.FormatDuration(l.Settings.Stream.Heartbeat); got != step.text {
			t.Errorf("Stream.Heartbeat = %s, want %s", got, step.text)
		}
	}
}

// samples has a value other than the default for every setting.
var samples = map[string]string{
	"listen": "127.0.0.1:9,unix:/run/weir.sock", "open": "true", "page": "false", "metrics": "false",
	"stream.heartbeat": "1s", "stream.retry": "3s", "stream.max-age": "1h", "stream.buffer": "64KiB", "stream.user-timeout": "5s",
	"hub.max-message": "512", "hub.max-topics-per-reader": "7", "hub.policy": "all", "hub.slow": "close",
	"history.max-messages": "-1", "history.max-age": "1h30m", "history.max-bytes": "0", "history.total-bytes": "2GiB", "history.max-topics": "77",
	"data": "state", "disk.durability": "interval", "disk.interval": "7ms", "disk.memory": "2MiB",
	"history.idempotency-window": "1h", "history.idempotency-keys": "5",
	"http.header-timeout": "2s", "http.idle-timeout": "3s", "http.max-header": "8KiB",
	"cors.origins": "https://a.example,http://localhost:3000", "cors.credentials": "true",
	"socket-mode": "0660", "nodes.log": "redis://127.0.0.1:6379", "nodes.name": "other", "nodes.wait": "1s", "presence.topics": "rooms/*", "presence.grace": "0", "presence.users": "5", "http.body-timeout": "0", "http.max-streams": "10", "http.h2c": "true", "http.proxy-buffering": "true",
	"access.secret": strings.Repeat("s", 32), "access.secret-file": "secret", "access.public-key-file": "key.pem", "access.jwks-url": "https://a.example/jwks",
	"access.issuer": "a", "access.audience": "a,b", "access.leeway": "0", "access.api-keys-file": "keys", "access.cookie": "token", "access.tickets": "0",
	"access.forward-url": "http://a.example/auth", "access.forward-timeout": "1s", "access.forward-cache": "0",
	"access.anonymous-publish": "a/*", "access.anonymous-subscribe": "a,b/**",
	"limits.streams": "5", "limits.streams-per-ip": "6", "limits.streams-per-user": "7", "limits.streams-per-token": "8", "limits.publish-per-ip": "9",
	"limits.publish-per-user": "10", "limits.replay-per-client": "1KiB", "limits.memory": "1GiB", "limits.ipv6-prefix": "56", "limits.clients": "2000",
	"tls.cert-file": "cert.pem", "tls.key-file": "key.pem", "tls.min-version": "1.3", "tls.acme-domains": "a.example,b.example", "tls.acme-email": "me@a.example",
	"tls.acme-directory": "https://a.example/dir", "tls.acme-ca-file": "ca.pem", "tls.acme-cache": "acme",
	"proxy.trusted": "loopback,10.0.0.0/8", "proxy.header": "Forwarded", "proxy.protocol": "true",
	"trace.endpoint": "http://127.0.0.1:4318", "trace.ratio": "0.5",
	"durable-streams-prefix": "/streams/", "durable-streams-wait": "1s",
	"drain.window": "0", "drain.timeout": "1m", "log.format": "json", "log.level": "debug", "log.access": "true",
}

// companions are what a setting needs to be accepted.
var companions = map[string][]string{
	"access.anonymous-publish":   {"access.issuer=a", "access.secret-file=secret"},
	"access.anonymous-subscribe": {"access.issuer=a", "access.secret-file=secret"},
	"tls.cert-file":              {"tls.key-file=key.pem", "listen=tls:127.0.0.1:443"},
	"tls.key-file":               {"tls.cert-file=cert.pem", "listen=tls:127.0.0.1:443"},
	"tls.acme-domains":           {"tls.acme-cache=acme", "listen=tls:127.0.0.1:443"},
	"proxy.protocol":             {"proxy.trusted=loopback"},
}

// with adds flags, given as NAME=VALUE.
func with(in config.Input, flags []string) config.Input {
	all := maps.Clone(in.Flags)
	if all == nil {
		all = map[string][]string{}
	}
	for _, text := range flags {
		name, value, _ := strings.Cut(text, "=")
		all[name] = []string{value}
	}
	in.Flags = all
	return in
}

func TestEverySettingIsReachableEveryWay(t *testing.T) {
	defaults := load(t, config.Input{}).Settings
	for _, row := range config.Rows() {
		if row.FileOnly {
			continue
		}
		sample, ok := samples[row.Name]
		if !ok {
			t.Errorf("samples lacks %s", row.Name)
			continue
		}
		yaml := row.Name + ": " + sample + "\n"
		if group, key, nested := strings.Cut(row.Name, "."); nested {
			yaml = group + ":\n  " + key + ": " + sample + "\n"
		}
		for way, in := range map[string]config.Input{
			"flag":             {Flags: map[string][]string{row.Name: {sample}}},
			"variable":         {Environ: []string{row.Variable() + "=" + sample}},
			"nested":           {File: inFile(t, yaml)},
			"file by variable": {Environ: []string{"WEIR_CONFIG=weir.yaml"}},
		} {
			if row.Secret && way == "flag" {
				continue
			}
			l := load(t, with(in, companions[row.Name]))
			if got := value(t, l, row.Name).Text; got != sample && !row.Secret {
				t.Errorf("%s by %s = %q, want %q", row.Name, way, got, sample)
			} else if row.Secret && got != "(set)" {
				t.Errorf("%s by %s shows %q, want that it is set", row.Name, way, got)
			}
			if reflect.DeepEqual(l.Settings, defaults) {
				t.Errorf("%s by %s = %s leaves the settings unchanged", row.Name, way, sample)
			}
		}
	}
}

func TestKeysMayBeWrittenInOne(t *testing.T) {
	l := load(t, config.Input{File: inFile(t, "hub.policy: all\nhub:\n  slow: latest\n")})
	if h := l.Settings.Hub; h.Policy != "all" || h.Slow != "latest" {
		t.Errorf("Hub = %+v, want policy all and slow latest", h)
	}
}

func TestEmptyFilesAreDefaults(t *testing.T) {
	want := load(t, config.Input{}).Settings
	for _, text := range []string{"", "# nothing\n", "\ufeff", "---\n", "hub:\nhistory:\n", "null\n"} {
		if got := load(t, config.Input{File: inFile(t, text)}).Settings; !reflect.DeepEqual(got, want) {
			t.Errorf("file %q gives %+v, want the defaults", text, got)
		}
	}
}

func TestListsComeInEveryForm(t *testing.T) {
	want := []string{"https://a.example", "https://b.example:8443"}
	for name, in := range map[string]config.Input{
		"flag with comma": {Flags: map[string][]string{"cors.origins": {"https://a.example, https://b.example:8443"}}},
		"flag twice":      {Flags: map[string][]string{"cors.origins": {"https://a.example", "https://b.example:8443"}}},
		"variable":        {Environ: []string{"WEIR_CORS_ORIGINS=https://a.example,https://b.example:8443"}},
		"sequence":        {File: inFile(t, "cors:\n  origins:\n    - https://a.example\n    - \"https://b.example:8443\"\n")},
	} {
		if got := load(t, in).Settings.CORS.Origins; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: origins = %q, want %q", name, got, want)
		}
	}
}

func TestLastOfARepeatedFlagCounts(t *testing.T) {
	l := load(t, config.Input{Flags: map[string][]string{"hub.policy": {"all", "reset"}}})
	if l.Settings.Hub.Policy != "reset" {
		t.Errorf("policy = %q, want reset", l.Settings.Hub.Policy)
	}
}

func TestEmptyVariableCountsAsNotSet(t *testing.T) {
	l := load(t, config.Input{Environ: []string{"WEIR_HUB_POLICY=", "WEIR_TYPO="}})
	if v := value(t, l, "hub.policy"); v.Origin.Kind != config.FromDefault || len(l.Warnings) > 0 {
		t.Errorf("policy from %v, warnings %q; want the default and none", v.Origin, l.Warnings)
	}
}

func TestUnknownVariablesAreNamedWithASuggestion(t *testing.T) {
	l := load(t, config.Input{Environ: []string{
		"WEIR_HUB_MAX_MESAGE=1", "WEIR_HISTORY_TOPICS=x", "WEIR_ZZZZZZZZZZZZZZZZ=1", "WEIRD=1",
		"WEIR_SERVER=http://other", "WEIR_PORT=tcp://10.0.0.1:80", "WEIR_PORT_80_TCP=x", "WEIR_SERVICE_HOST=10.0.0.1",
	}})
	want := []string{
		"WEIR_HISTORY_TOPICS is ignored: history.topics can be set in the file only",
		`WEIR_HUB_MAX_MESAGE is not a setting and is ignored; did you mean "WEIR_HUB_MAX_MESSAGE"?`,
		"WEIR_ZZZZZZZZZZZZZZZZ is not a setting and is ignored",
	}
	if !reflect.DeepEqual(l.Warnings, want) {
		t.Errorf("warnings are\n%s\nwant\n%s", strings.Join(l.Warnings, "\n"), strings.Join(want, "\n"))
	}
}

func TestRulesTakeTheRestFromTheSettings(t *testing.T) {
	l := load(t, config.Input{
		File: inFile(t, `
history:
  topics:
    - {topic: "orders/**", max-messages: 5}
    - topic: clock
      max-age: 1m
      max-bytes: 1MiB
      durability: interval
      policy: reset
    - {topic: "live/*", max-messages: -1, max-age: 0}
  max-bytes: 2MiB
`),
		Flags: map[string][]string{"history.max-age": {"48h"}},
	})
	want := []config.TopicRule{
		{Topic: "orders/**", MaxMessages: 5, MaxAge: 48 * time.Hour, MaxBytes: 2 << 20, Durability: "always", Policy: "diff"},
		{Topic: "clock", MaxMessages: 10000, MaxAge: time.Minute, MaxBytes: 1 << 20, Durability: "interval", Policy: "reset"},
		{Topic: "live/*", MaxMessages: -1, MaxAge: 0, MaxBytes: 2 << 20, Durability: "always", Policy: "diff"},
	}
	if got := l.Settings.History.Topics; !reflect.DeepEqual(got, want) {
		t.Errorf("rules are\n%+v, want\n%+v", got, want)
	}
	if got, want := value(t, l, "history.topics").Text, "orders/** (5, 48h, 2MiB, always, diff),clock (10000, 1m, 1MiB, interval, reset),live/* (-1, 0, 2MiB, always, diff)"; got != want {
		t.Errorf("shown as %q, want %q", got, want)
	}
}

func TestWholePathIsNamedWhenTheFileIsElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.yaml")
	_, err := config.Load(config.Input{File: path})
	if want := filepath.ToSlash(path) + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Load = %v, want %s", err, want)
	}
}
