package bench_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/bench"
)

func TestThresholdsThatCannotBeMeantAreMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"lost":          `threshold "lost" has no comparison; write it like 'lost>0'`,
		"los>0":         `threshold "los>0": no metric is named "los"`,
		">0":            `threshold ">0": no metric is named ""`,
		"lost>none":     `threshold "lost>none": "none" is not a number`,
		"p99>fast":      `threshold "p99>fast": "fast" is not a time: write it like 150ms or 2.5us`,
		"server_rss>1X": `threshold "server_rss>1X": "1X" is not a size: write it like 900, 1.5KiB or 2MiB`,
		"rate<NaN":      `threshold "rate<NaN": "NaN" is not a number`,
	} {
		_, err := bench.ParseThreshold(text)
		if _, ok := errors.AsType[*bench.Mistake](err); !ok || err.Error() != want {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

func TestThresholdsOnTheServerNeedItsProcess(t *testing.T) {
	threshold, err := bench.ParseThreshold("rss_per_connection > 1.5KiB")
	if err != nil {
		t.Fatal(err)
	}
	if err := threshold.Check(bench.Options{}); err == nil || !strings.Contains(err.Error(), "give its pid") {
		t.Errorf("without a process: %v", err)
	}
	if err := threshold.Check(bench.Options{PIDs: []int{1}}); err != nil {
		t.Errorf("with a process: %v", err)
	}
}

func TestWrongOptionsAreMistakes(t *testing.T) {
	for _, c := range []struct {
		scenario bench.Scenario
		change   func(*bench.Options)
		want     string
	}{
		{bench.Fanout, func(o *bench.Options) { o.Connections = 0 }, "connections 0 is not within the limits 1 to 1e+06"},
		{bench.Fanout, func(o *bench.Options) { o.Size = 10 }, "size 10 is not within the limits 54 to 1.6777216e+07"},
		{bench.Publish, func(o *bench.Options) { o.Duration = 0 }, "neither messages nor a duration is given, so publishing would not end"},
		{bench.Fanout, func(o *bench.Options) { o.SubscribeURL = "ftp://x" }, `subscribe-url "ftp://x" is not a URL that begins with http:// or https://`},
		{bench.Fanout, func(o *bench.Options) { o.Headers = []string{"oops"} }, `header "oops" is not of the form "Name: value"`},
		{bench.Fanout, func(o *bench.Options) { o.Headers = []string{"A: b\r\nC: d"} }, `header "A: b\r\nC: d" is not of the form "Name: value"`},
		{bench.Fanout, func(o *bench.Options) { o.PublishBody = "x" }, "a body has no {data} where the payload goes"},
		{bench.Idle, func(o *bench.Options) { o.Connections = 900_000 }, "connections need"},
		{bench.Idle, func(o *bench.Options) { o.PIDs = []int{1 << 30} }, "pid 1073741824: no such process"},
		{bench.Idle, func(o *bench.Options) { o.CPUs = []int{1000} }, "cpu"},
	} {
		o := bench.Defaults(c.scenario)
		o.Server = "http://127.0.0.1:1"
		c.change(&o)
		_, err := bench.Run(context.Background(), o)
		if _, ok := errors.AsType[*bench.Mistake](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.scenario, err, c.want)
		}
	}
}

func TestNobodyThereIsUnreachable(t *testing.T) {
	for _, scenario := range []bench.Scenario{bench.Idle, bench.Publish} {
		o := bench.Defaults(scenario)
		o.Server = "http://127.0.0.1:1"
		o.Connections = min(o.Connections, 3)
		o.Patience = 2 * time.Second
		_, err := bench.Run(context.Background(), o)
		if !errors.Is(err, bench.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: error %v, want %v", scenario, err, bench.ErrUnreachable)
		}
	}
}
