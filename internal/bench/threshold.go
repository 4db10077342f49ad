package bench

import (
	"fmt"
	"strings"
)

// A Threshold is a condition under which a run has failed, such as p99>150ms.
type Threshold struct {
	text     string
	metric   Metric
	operator string
	limit    float64
}

// operators are in the order in which they are looked for.
var operators = []string{">=", "<=", "==", "!=", ">", "<"}

// ParseThreshold reads a condition: the name of one of [Metrics], one of > >= <
// <= == !=, and a number, which may have a unit.
func ParseThreshold(text string) (t Threshold, err error) {
	t.text = text
	for _, op := range operators {
		name, value, ok := strings.Cut(text, op)
		if !ok {
			continue
		}
		t.operator = op
		if t.metric, ok = findMetric(strings.TrimSpace(name)); !ok {
			return t, mistake("threshold %q: no metric is named %q", text, strings.TrimSpace(name))
		}
		if t.limit, err = t.metric.Unit.parse(strings.TrimSpace(value)); err != nil {
			return t, mistake("threshold %q: %v", text, err)
		}
		return t, nil
	}
	return t, mistake("threshold %q has no comparison; write it like 'lost>0'", text)
}

// Check tells before a run whether it will have the metric.
func (t Threshold) Check(o Options) error {
	if t.metric.pid && len(o.PIDs) == 0 {
		return mistake("threshold %q needs the process of the server: give its pid", t.text)
	}
	return nil
}

// Broken says how r breaks the threshold; "" if it does not. A result that lacks
// the metric breaks it.
func (t Threshold) Broken(r *Result) string {
	v, ok := r.Value(t.metric.Name)
	if !ok {
		return fmt.Sprintf("%s: this run has no %s", t.text, t.metric.Name)
	}
	if !t.holds(v) {
		return ""
	}
	return fmt.Sprintf("%s: %s is %s", t.text, t.metric.Name, t.metric.Unit.format(v))
}

func (t Threshold) holds(v float64) bool {
	switch t.operator {
	case ">=":
		return v >= t.limit
	case "<=":
		return v <= t.limit
	case "==":
		return v == t.limit
	case "!=":
		return v != t.limit
	case ">":
		return v > t.limit
	}
	return v < t.limit
}
