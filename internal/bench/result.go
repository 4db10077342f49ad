package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A Result is what a run has measured.
type Result struct {
	options Options
	values  map[string]float64
}

func newResult(o Options) *Result { return &Result{options: o, values: make(map[string]float64)} }

// Value returns a metric by its name, and whether the result has it.
func (r *Result) Value(name string) (float64, bool) {
	v, ok := r.values[name]
	return v, ok
}

// set stores a metric. An unknown name is a mistake in this package.
func (r *Result) set(name string, v float64) {
	if _, ok := findMetric(name); !ok {
		panic("bench: no metric is named " + name)
	}
	r.values[name] = v
}

func (r *Result) setTime(name string, d time.Duration) { r.set(name, d.Seconds()) }

// setRatio stores a/b unless b is 0.
func (r *Result) setRatio(name string, a, b float64) {
	if b != 0 {
		r.set(name, a/b)
	}
}

func (r *Result) setLatency(prefix string, h *histogram) {
	if h.total == 0 {
		return
	}
	for name, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99} {
		if _, ok := findMetric(prefix + name); ok {
			r.setTime(prefix+name, h.quantile(q))
		}
	}
	if _, ok := findMetric(prefix + "max"); ok {
		r.setTime(prefix+"max", h.max)
	}
}

// MarshalJSON gives one object: the scenario, what it was asked to do, and the
// metrics in their order. Times are in seconds, sizes in bytes.
func (r *Result) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range r.settings() {
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", f.name, value)
	}
	for _, m := range metrics {
		if v, ok := r.values[m.Name]; ok {
			value, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, ",%q:%s", m.Name, value)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

type setting struct {
	name  string
	value any
}

// settings are the options that make results comparable.
func (r *Result) settings() []setting {
	o := &r.options
	server := o.Server
	if !strings.HasPrefix(o.SubscribeURL, server+"/") {
		server = o.SubscribeURL
	}
	list := []setting{{"scenario", o.Scenario}, {"server", server}, {"readers", o.Connections}}
	if o.Topics > 1 {
		list = append(list, setting{"topics", o.Topics})
	}
	if o.TopicsPerConn > 1 {
		list = append(list, setting{"topics_per_reader", o.TopicsPerConn})
	}
	if o.Others+o.Patterns > 0 {
		list = append(list, setting{"other_readers", o.Others}, setting{"other_patterns", o.Patterns})
	}
	if o.publishes() {
		list = append(list, setting{"size", o.Size}, setting{"inflight", o.InFlight})
	}
	if o.Batch > 1 {
		list = append(list, setting{"batch", o.Batch})
	}
	if o.Rate > 0 {
		list = append(list, setting{"offered_rate", o.Rate})
	}
	if o.Window > 0 {
		list = append(list, setting{"window", o.Window})
	}
	return list
}

// WriteText writes r for people.
func (r *Result) WriteText(w io.Writer) error {
	var title []string
	for _, s := range r.settings()[1:] {
		title = append(title, fmt.Sprintf("%s %v", strings.ReplaceAll(s.name, "_", " "), s.value))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: %s\n", r.options.Scenario, strings.Join(title, ", "))
	blank := true
	for _, m := range metrics {
		v, ok := r.values[m.Name]
		switch {
		case m.Name == "" && !blank:
			fmt.Fprintln(t)
			blank = true
		case ok:
			fmt.Fprintf(t, "  %s\t%s\t%s\n", m.Name, m.Unit.format(v), m.Help)
			blank = false
		}
	}
	return t.Flush()
}
