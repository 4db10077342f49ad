package hub_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

func TestTopicsHaveTheirOwnPolicy(t *testing.T) {
	h := newHub(t, hub.Options{Policy: hub.All, Policies: []hub.PolicyRule{{Pattern: "a/x", Policy: hub.Diff}, {Pattern: "a/**", Policy: hub.Reset}}})
	defer h.Close()
	for topics, want := range map[string]string{
		"a/x": "diff", "a/y": "reset", "a": "reset", "a/*": "reset", "b": "all", "*": "all", "b a/x": "all", "a/x b": "diff",
	} {
		sub := hub.Subscription{Topics: strings.Fields(topics), From: hub.FromID("unknown"), Form: hub.Lines}
		body, _, err := h.Poll(context.Background(), sub, time.Second)
		var line struct{ Gap struct{ Policy string } }
		if err == nil {
			err = json.Unmarshal(body, &line)
		}
		if err != nil || line.Gap.Policy != want {
			t.Errorf("%q: %s, %v; want policy %s", topics, body, err, want)
		}
	}
	body, _, err := h.Poll(context.Background(), hub.Subscription{Topics: []string{"a/x"}, From: hub.FromID("unknown"), Form: hub.Lines, Policy: hub.Reset}, time.Second)
	if err != nil || !strings.Contains(string(body), `"reset"`) {
		t.Errorf("a reader that asks for reset gets %s, %v", body, err)
	}
}
