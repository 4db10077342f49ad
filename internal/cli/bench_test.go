package cli_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func TestBenchPrintsWhatItMeasured(t *testing.T) {
	url := answering(t, 201, nil, `{"id":"e-1"}`)
	got := weir("bench", "publish", "--server", url, "--messages", "20", "--inflight", "2")
	if got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, "publish: server "+url+", readers 0, size 128, inflight 2\n") || !strings.Contains(got.out, "\n  published     20 ") {
		t.Errorf("bench publish gives %d, %q and\n%s", got.code, got.err, got.out)
	}
	got = weir("bench", "publish", "--server", url, "--messages", "20", "--json")
	var result map[string]any
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || got.code != 0 || result["published"] != 20.0 {
		t.Errorf("bench publish --json gives %d, %q and %s (%v)", got.code, got.err, got.out, err)
	}
}

func TestBenchFailsByItsThresholds(t *testing.T) {
	url := answering(t, 201, nil, `{"id":"e-1"}`)
	args := []string{"bench", "publish", "--server", url, "--messages", "20", "--fail-if", "published < 20", "--fail-if", "refused>0"}
	if got := weir(args...); got.code != 0 || got.err != "" {
		t.Errorf("conditions that are not met give %d, %q", got.code, got.err)
	}
	got := weir(append(args, "--fail-if", "published>=20", "--fail-if", "p99>1ms")...)
	want := "weir: bench publish: published>=20: published is 20\nweir: bench publish: p99>1ms: this run has no p99\n"
	if got.code != 1 || got.err != want || !strings.Contains(got.out, "published") {
		t.Errorf("conditions that are met give %d, %q and\n%s\nwant 1 and %q", got.code, got.err, got.out, want)
	}
}

func TestBenchCallsThatCannotWork(t *testing.T) {
	nobody := closedPort(t)
	denied := answering(t, 403, nil, "no")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"bench fanuot", 2, `weir: bench: unknown command "fanuot"; did you mean "fanout"?`},
		{"bench fanout -n 0", 2, "weir: bench fanout: connections 0 is not within the limits 1 to 1e+06"},
		{"bench fanout --fail-if los>0", 2, `weir: bench fanout: threshold "los>0": no metric is named "los"`},
		{"bench fanout --fail-if server_rss>1MiB", 2, `weir: bench fanout: threshold "server_rss>1MiB" needs the process of the server: give its pid`},
		{"bench fanout --server unix:/x", 2, "weir: bench fanout: bench reaches servers by TCP, not by unix:/x"},
		{"bench publish --server " + nobody, 69, "weir: bench publish: no answer to a publish: connection to " + strings.TrimPrefix(nobody, "http://") + ": connection refused"},
		{"bench idle -n 2 --server " + nobody, 69, "weir: bench idle: no answer: connect to " + strings.TrimPrefix(nobody, "http://") + ": connection refused"},
		{"bench publish --inflight 1 --server " + denied, 1, `weir: bench publish: refused: the server answers a publish with status 403 "no"`},
	} {
		args := strings.Fields(c.args)
		if got := weir(args...); got.code != c.code || got.err != c.want+"\n" {
			t.Errorf("weir %s gives %d, %q, want %d, %q", c.args, got.code, got.err, c.code, c.want)
		}
	}
}

func TestBenchInterruptedPrintsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	url := answering(t, 201, nil, `{"id":"e-1"}`)
	got := call{ctx: ctx, args: []string{"bench", "publish", "--server", url, "--duration", "1h"}}.run()
	if got.code != 130 || got.err != "" || !strings.HasPrefix(got.out, "publish: ") {
		t.Errorf("an interrupted bench gives %d, %q and\n%s", got.code, got.err, got.out)
	}
}

func TestBenchListsItsMetrics(t *testing.T) {
	got := weir("bench", "metrics")
	if got.code != 0 || !strings.Contains(got.out, "\np99 ") || !strings.Contains(got.out, "\nserver_cpu ") {
		t.Errorf("bench metrics gives %+v", got)
	}
}
