package config_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

func TestThePrefixOfStreamsIsFree(t *testing.T) {
	for prefix, want := range map[string]string{
		"":                "",
		"/v1/streams/":    "",
		"/s/":             "",
		"/v1/stream/a.b/": "",
		"/v1/topics2/":    "",
		"/":               "not the beginning of a path",
		"//":              "not the beginning of a path",
		"streams/":        "not the beginning of a path",
		"/streams":        "not the beginning of a path",
		"/a//b/":          "not the beginning of a path",
		"/a/../b/":        "not the beginning of a path",
		"/./":             "not the beginning of a path",
		"/a b/":           "not the beginning of a path",
		"/a%20b/":         "not the beginning of a path",
		"/v1/":            "in the way of /v1/topics",
		"/v1/topics/":     "in the way of /v1/topics",
		"/v1/topics/a/":   "in the way of /v1/topics",
		"/v1/events/":     "in the way of /v1/events",
		"/healthz/":       "in the way of /healthz",
		"/assets/x/":      "in the way of /assets",
	} {
		_, err := config.Load(config.Input{Flags: map[string][]string{"durable-streams-prefix": {prefix}}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("prefix %q: error %v, want %q", prefix, err, want)
		}
	}
}
