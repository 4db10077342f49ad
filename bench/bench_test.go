//go:build linux

package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSpreadsAreMediansWithTheirRange(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{nil, "-"},
		{[]float64{2e-6}, "2.00 us"},
		{[]float64{3e-6, 1e-6, 2e-6}, "2.00 us (1.00–3.00)"},
		{[]float64{4e-6, 1e-6, 2e-6, 3e-6}, "2.50 us (1.00–4.00)"},
		{[]float64{1e-6, 1e-6}, "1.00 us"},
	} {
		var samples []sample
		for _, v := range c.values {
			samples = append(samples, sample{"x": v}, sample{"y": 7})
		}
		if got := spreadOf(samples, "x").text(micro); got != c.want {
			t.Errorf("%v gives %s, want %s", c.values, got, c.want)
		}
	}
}

// tableOf returns a table with one sample of one metric for each server.
func tableOf(name string, goals []goal, values map[string]float64) *table {
	t := &table{measurement: &measurement{name: name, title: name, columns: []column{{"x", "x", whole, false}}, goals: goals}, samples: map[string][]sample{}, errors: map[string]error{}}
	for server, v := range values {
		t.servers = append(t.servers, server)
		t.samples[server] = []sample{{"x": v, "readers": 10}}
	}
	slices.Sort(t.servers)
	return t
}

func TestGoalsCompareWhatTheySay(t *testing.T) {
	other := tableOf("other", nil, map[string]float64{"weir": 4})
	for _, c := range []struct {
		goal goal
		want string
	}{
		{goal{text: "g", limit: 10}, "| m | g | 6 | met |\n"},
		{goal{text: "g", limit: 5}, "| m | g | 6 | **missed** |\n"},
		{goal{text: "g", limit: 5, least: true}, "| m | g | 6 | met |\n"},
		{goal{text: "g", limit: 2, of: "floor"}, "| m | g | 2.00 x | met |\n"},
		{goal{text: "g", limit: 2.1, of: "floor", least: true}, "| m | g | 2.00 x | **missed** |\n"},
		{goal{text: "g", limit: 1.5, of: "weir@other"}, "| m | g | 1.50 x | met |\n"},
		{goal{text: "g", limit: 4, of: "nchan/floor", least: true}, "| m | g | 4.00 x | met |\n"},
		{goal{text: "g", of: "gosse"}, ""},
		{goal{text: "g", of: "weir@none"}, ""},
	} {
		m := tableOf("m", []goal{c.goal}, map[string]float64{"weir": 6, "floor": 3, "nchan": 12})
		if got := c.goal.row(m, []*table{other, m}); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.goal, got, c.want)
		}
	}
}

func TestTablesShowRatiosAndFailures(t *testing.T) {
	m := tableOf("m", nil, map[string]float64{"weir": 6, "floor": 3, "nchan": 12})
	m.servers = append(m.servers, "gosse")
	m.errors["gosse"] = io.ErrUnexpectedEOF
	got := report("", []*table{m}, false, options{})
	want := "| | x | / write loop | / nchan (nginx) |\n|---|---|---|---|\n| write loop | 3 | 1.00 | 0.25 |\n| nchan (nginx) | 12 | 4.00 | 1.00 |\n| weir | 6 | 2.00 | 0.50 |\n| tmaxmax/go-sse | failed: unexpected EOF |\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("the report is\n%s\nwant it to end in\n%s", got, want)
	}
}

func TestChartIsWellFormedAndHoldsAllLines(t *testing.T) {
	var tables []*table
	for _, kind := range []string{"cpu", "memory"} {
		for i, n := range []float64{1000, 5000, 18000} {
			p := tableOf("curve-"+kind+"-1", nil, map[string]float64{"weir": 4e-6 + float64(i)*1e-7, "floor": 5e-6, "nchan": 1e-5})
			for _, s := range p.samples {
				s[0]["readers"] = n
			}
			tables = append(tables, p)
		}
	}
	svg := string(costChart(tables))
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	if n := strings.Count(svg, "<circle"); n != 2*3*3 {
		t.Errorf("the chart has %d points, want %d", n, 2*3*3)
	}
	for _, text := range []string{">weir<", ">write loop<", ">nchan (nginx)<", ">18,000<"} {
		if strings.Count(svg, text) != 2 {
			t.Errorf("the chart has %s %d times, want 2", text, strings.Count(svg, text))
		}
	}
	if regexp.MustCompile(`NaN|Inf|%!`).MatchString(svg) {
		t.Errorf("the chart has broken numbers:\n%s", svg)
	}
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	got := spreadLabels([]float64{50, 10, 12, 11})
	if want := []float64{58, 10, 42, 26}; !slices.Equal(got, want) {
		t.Errorf("labels are at %v, want %v", got, want)
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if _, err := parseFlags([]string{"-only", "fanout1,speed"}); err == nil || !strings.HasPrefix(err.Error(), `"speed" is not one of idle, `) {
		t.Errorf("-only speed gives %v", err)
	}
	o, err := parseFlags([]string{"-only", "fanout1,curve", "-servers", "weir"})
	if err != nil || !slices.Equal(o.only, []string{"fanout1", "curve"}) || !slices.Equal(o.servers, []string{"weir"}) {
		t.Errorf("flags give %+v, %v", o, err)
	}
}

// TestEveryPeerCanBeMeasured runs the smallest measurement of all servers that
// Go can build.
func TestEveryPeerCanBeMeasured(t *testing.T) {
	dir := t.TempDir()
	o := options{quick: true, rounds: 1, only: []string{"fanout1"}, servers: []string{"weir", "floor", "gosse", "r3labs"},
		loadCPU: 0, results: filepath.Join(dir, "results.md"), chart: filepath.Join(dir, "cost.svg")}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.results)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range o.servers {
		row := regexp.MustCompile(`(?m)^\| ` + findServer(name).title + ` \| [0-9,]+ \|.*$`).Find(text)
		if row == nil {
			t.Errorf("no figures of %s in\n%s", name, text)
		}
	}
}
