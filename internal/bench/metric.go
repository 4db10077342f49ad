package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Unit is what a metric counts.
type Unit uint8

// The units. In JSON and in thresholds without a unit, time is in seconds and
// size in bytes.
const (
	Count Unit = iota
	PerSecond
	Time
	Size
	Ratio
)

// A Metric is one figure of a result.
type Metric struct {
	Name string
	Unit Unit
	Help string
	pid  bool // known only with Options.PIDs
}

// metrics lists all in the order in which they are shown; a scenario has some of
// them. An empty name begins a new paragraph.
var metrics = []Metric{
	{Name: "connections", Help: "readers that were open"},
	{Name: "failed", Help: "connections that could not be opened"},
	{Name: "disconnected", Help: "connections that the server ended"},
	{Name: "open_time", Unit: Time, Help: "time to open them all"},
	{},
	{Name: "published", Help: "messages acknowledged"},
	{Name: "refused", Help: "messages answered with an error, or not at all"},
	{Name: "publish_rate", Unit: PerSecond, Help: "messages acknowledged"},
	{Name: "ack_p50", Unit: Time, Help: "publish to acknowledgement"},
	{Name: "ack_p99", Unit: Time, Help: "publish to acknowledgement"},
	{Name: "ack_max", Unit: Time, Help: "publish to acknowledgement"},
	{},
	{Name: "delivered", Help: "messages that readers received, each once"},
	{Name: "expected", Help: "acknowledged messages times their readers"},
	{Name: "lost", Help: "expected and not received"},
	{Name: "out_of_order", Help: "received after a later message of the same publisher"},
	{Name: "doubled", Help: "received again"},
	{Name: "misrouted", Help: "received by a reader of another topic"},
	{Name: "damaged", Help: "received with the wrong length"},
	{Name: "divergent", Help: "readers that saw another order than most"},
	{Name: "gaps", Help: "events that say that messages were lost"},
	{Name: "rate", Unit: PerSecond, Help: "deliveries"},
	{Name: "p50", Unit: Time, Help: "publish to receive"},
	{Name: "p90", Unit: Time, Help: "publish to receive"},
	{Name: "p99", Unit: Time, Help: "publish to receive"},
	{Name: "max", Unit: Time, Help: "publish to receive"},
	{},
	{Name: "fresh_time", Unit: Time, Help: "time for all to connect anew (median of the rounds)"},
	{Name: "resume_time", Unit: Time, Help: "time for all to reconnect and catch up (median of the rounds)"},
	{Name: "resume_ratio", Unit: Ratio, Help: "resume_time / fresh_time"},
	{Name: "stalled", Help: "readers that stopped reading"},
	{Name: "base_p50", Unit: Time, Help: "publish to receive while all read"},
	{Name: "base_p99", Unit: Time, Help: "publish to receive while all read"},
	{Name: "p99_ratio", Unit: Ratio, Help: "p99 of the others / base_p99"},
	{Name: "stalled_lost", Help: "messages that stalled readers did not get after reading on"},
	{Name: "stalled_out_of_order", Help: "messages that stalled readers got in another order"},
	{Name: "stalled_doubled", Help: "messages that stalled readers got twice"},
	{Name: "stalled_disconnected", Help: "stalled readers that the server ended"},
	{Name: "rss_per_stalled", Unit: Size, Help: "memory that a stalled reader costs more than a reading one", pid: true},
	{},
	{Name: "server_cpu", Unit: Time, Help: "processor time of the server per delivery", pid: true},
	{Name: "server_cpu_publish", Unit: Time, Help: "processor time of the server per published message", pid: true},
	{Name: "server_cpu_share", Unit: Ratio, Help: "processors the server used", pid: true},
	{Name: "server_rss", Unit: Size, Help: "resident memory of the server at the end", pid: true},
	{Name: "server_rss_growth", Unit: Size, Help: "its growth since before the first connection", pid: true},
	{Name: "server_rss_peak", Unit: Size, Help: "the most, sampled ten times a second", pid: true},
	{Name: "rss_per_connection", Unit: Size, Help: "growth per open connection", pid: true},
	{},
	{Name: "received_bytes", Unit: Size, Help: "bytes that readers received, with all framing"},
	{Name: "elapsed", Unit: Time, Help: "first publish to last delivery; or the time of holding"},
	{Name: "own_cpu", Unit: Time, Help: "processor time of this client per delivery"},
	{Name: "own_cpu_share", Unit: Ratio, Help: "processors this client used"},
}

// Metrics lists what results may contain, in their order.
func Metrics() []Metric {
	var list []Metric
	for _, m := range metrics {
		if m.Name != "" {
			list = append(list, m)
		}
	}
	return list
}

func findMetric(name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name && name != "" {
			return m, true
		}
	}
	return Metric{}, false
}

// format writes v as people read it.
func (u Unit) format(v float64) string {
	switch u {
	case PerSecond:
		return grouped(v) + " /s"
	case Time:
		return formatTime(v)
	case Size:
		return formatSize(v)
	case Ratio:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return grouped(v)
}

// formatTime writes seconds with three digits or more.
func formatTime(v float64) string {
	unit, name := 1.0, "s"
	switch {
	case math.Abs(v) < 999.5e-9:
		unit, name = 1e-9, "ns"
	case math.Abs(v) < 999.5e-6:
		unit, name = 1e-6, "us"
	case math.Abs(v) < 999.5e-3:
		unit, name = 1e-3, "ms"
	}
	return threeDigits(v/unit) + " " + name
}

func formatSize(v float64) string {
	unit, name := 1.0, "B"
	switch {
	case math.Abs(v) >= 1<<30:
		unit, name = 1<<30, "GiB"
	case math.Abs(v) >= 1<<20:
		unit, name = 1<<20, "MiB"
	case math.Abs(v) >= 1<<10:
		unit, name = 1<<10, "KiB"
	}
	return threeDigits(v/unit) + " " + name
}

func threeDigits(v float64) string {
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// grouped writes a whole number with commas.
func grouped(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// parse reads a number with an optional unit.
func (u Unit) parse(text string) (float64, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
		return v, nil
	}
	switch u {
	case Time:
		if d, err := time.ParseDuration(text); err == nil {
			return d.Seconds(), nil
		}
		return 0, fmt.Errorf("%q is not a time: write it like 150ms or 2.5us", text)
	case Size:
		for _, s := range []struct {
			name string
			size float64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
			if digits, ok := strings.CutSuffix(text, s.name); ok {
				if v, err := strconv.ParseFloat(digits, 64); err == nil {
					return v * s.size, nil
				}
			}
		}
		return 0, fmt.Errorf("%q is not a size: write it like 900, 1.5KiB or 2MiB", text)
	}
	return 0, fmt.Errorf("%q is not a number", text)
}
