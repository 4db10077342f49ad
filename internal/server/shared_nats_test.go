package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/server"
)

// TestNodesShareOneLogOnNATS publishes on one node and reads on the other.
func TestNodesShareOneLogOnNATS(t *testing.T) {
	nats := natsserver.Start(t, natsserver.Options{Config: "max_payload: 2MB"})
	nodeOf := func() *running {
		s := defaults(t)
		s.Nodes = config.Nodes{Log: nats.URL(), Name: "test", Wait: time.Second}
		return start(t, s)
	}
	a, b := nodeOf(), nodeOf()
	reader := b.follow(t, "/v1/topics/news", "application/x-ndjson")
	big := strings.Repeat("x", 1<<20) // hub.max-message
	for _, text := range []string{"one", big, "two"} {
		if resp, body := a.do(t, "POST", "/v1/topics/news", text); resp.StatusCode != 201 {
			t.Fatalf("publish: %s %s", resp.Status, body)
		}
		for !strings.Contains(reader.line(t), text) {
		}
	}
}

func TestLogOfUnknownKindIsNamed(t *testing.T) {
	for url, want := range map[string]string{
		"kafka://localhost":  `scheme "kafka", want redis, rediss, redis+sentinel, rediss+sentinel, nats, tls or nats+tls`,
		"nats://127.0.0.1:1": "no servers available",
	} {
		s := defaults(t)
		s.Nodes = config.Nodes{Log: url, Name: "test", Wait: 100 * time.Millisecond}
		if _, err := server.New(s, discard); err == nil || !strings.HasPrefix(err.Error(), "nodes.log: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("New gives %v, want an error with %q", err, want)
		}
	}
}
