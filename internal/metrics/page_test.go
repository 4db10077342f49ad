package metrics_test

import (
	"math"
	"testing"

	"github.com/weirstream/weir/internal/metrics"
)

// TestPageIsTheTextFormat compares with what the definition of the format says.
func TestPageIsTheTextFormat(t *testing.T) {
	var p metrics.Page
	p.Counter("a_total", "Back\\slash, \"quotes\"\nand a line.", metrics.Value(int64(1)<<53))
	p.Gauge("b", "Some.",
		metrics.Sample{Value: 0.25, Labels: []string{"reason", "x", "other", ""}},
		metrics.Sample{Value: -1e21, Labels: []string{"reason", "\\ \" \n é \xff", "other", "y"}})
	p.Gauge("c", "")
	p.Gauge("d", "None.", metrics.Value(math.Inf(1)), metrics.Value(math.NaN()))
	const want = "# HELP a_total Back\\\\slash, \"quotes\"\\nand a line.\n# TYPE a_total counter\na_total 9007199254740992\n" +
		"# HELP b Some.\n# TYPE b gauge\nb{reason=\"x\",other=\"\"} 0.25\nb{reason=\"\\\\ \\\" \\n é \uFFFD\",other=\"y\"} -1000000000000000000000\n" +
		"# HELP c \n# TYPE c gauge\n" +
		"# HELP d None.\n# TYPE d gauge\nd +Inf\nd NaN\n"
	if got := string(p.Text()); got != want {
		t.Errorf("page is\n%s\nwant\n%s", got, want)
	}
}

func TestNamesThatAreNonePanic(t *testing.T) {
	for name, add := range map[string]func(p *metrics.Page){
		"counter without _total": func(p *metrics.Page) { p.Counter("a", "") },
		"empty":                  func(p *metrics.Page) { p.Gauge("", "") },
		"line feed":              func(p *metrics.Page) { p.Gauge("a\n", "") },
		"digit first":            func(p *metrics.Page) { p.Gauge("1a", "") },
		"label":                  func(p *metrics.Page) { p.Gauge("a", "", metrics.Sample{Labels: []string{"b-c", "x"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			add(new(metrics.Page))
		})
	}
}
