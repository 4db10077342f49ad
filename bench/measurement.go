//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A column is a metric of weir bench that a table shows.
type column struct {
	metric, title string
	format        func(float64) string
	more          bool // more is better
}

// A goal is what weir is to reach in the first column of a measurement.
type goal struct {
	text   string // "at most 1.0 KiB"
	metric string // "" is the first column's
	of     string // the server whose value divides weir's; "" for none
	limit  float64
	least  bool // the limit is the least, not the most
}

// A measurement is one table of the results.
type measurement struct {
	name, title string
	note        string
	servers     []string // that can take part
	columns     []column // the first is the one that is compared
	goals       []goal
	args        func(s string, quick bool) []string // of weir bench
}

var (
	cpuColumn   = column{"server_cpu", "CPU per delivery", micro, false}
	rateColumn  = column{"rate", "deliveries/s", thousands, true}
	p99Column   = column{"p99", "p99", milli, false}
	lostColumn  = column{"lost", "lost", whole, false}
	orderColumn = column{"out_of_order", "out of order", whole, false}
	ownColumn   = column{"own_cpu", "load's CPU per delivery", micro, false}
	shareColumn = column{"server_cpu_share", "processors used by the server", ratio, true}
	loadColumn  = column{"own_cpu_share", "by the load", ratio, false}
	rssColumn   = column{"rss_per_connection", "RSS per connection", kibi, false}
	growColumn  = column{"server_rss_growth", "RSS growth", mebi, false}
)

var (
	allServers   = []string{"weir", "floor", "nchan", "gosse", "r3labs"}
	withTopics   = []string{"weir", "nchan", "gosse", "r3labs"}
	onlyWeir     = []string{"weir"}
	curveSizes   = []int{1000, 2000, 5000, 10000, 15000, 18000}
	curvePattern = "curve-%s-%d"
)

var measurements = append([]measurement{
	{
		name: "idle", title: "Idle connections", servers: append(slices.Clone(allServers), "weir-tls"),
		columns: []column{rssColumn, {"open_time", "time to open", seconds, false}},
		goals:   []goal{{text: "at most 1.0 KiB", limit: 1024}},
		args: func(s string, quick bool) []string {
			if s == "weir-tls" {
				return list("idle", "-n", size(quick, 9000, 200), "--hold", "5s")
			}
			return list("idle", "-n", size(quick, 18000, 300), "--hold", "5s")
		},
		note: "Growth of the server's resident memory per open connection, 18,000 open (TLS: 9,000), after holding them for 5 s. The kernel's memory for sockets comes on top, for all alike.",
	},
	{
		name: "idle4", title: "Idle connections with four topics each", servers: onlyWeir,
		columns: []column{rssColumn}, goals: []goal{{text: "at most 1.5 KiB", limit: 1536}},
		args: func(_ string, quick bool) []string {
			return list("idle", "-n", size(quick, 18000, 300), "--hold", "5s", "--topics-per-conn", "4", "--topics", size(quick, 72000, 1200))
		},
		note: "18,000 connections, each of which follows four topics that no other follows. (Four topics that all follow cost hardly more than one.)",
	},
	{
		name: "steady", title: "10 messages/s to 5,000 readers", servers: allServers,
		columns: []column{cpuColumn, p99Column, lostColumn, ownColumn},
		goals:   []goal{{text: "at most 1.15 x the write loop", of: "floor", limit: 1.15}},
		args: func(_ string, quick bool) []string {
			return list("fanout", "-n", size(quick, 5000, 300), "--rate", "10", "--duration", size(quick, 15, 2)+"s")
		},
	},
	{
		name: "fanout1", title: "As fast as possible to 5,000 readers, one publish in flight", servers: allServers,
		columns: []column{rateColumn, cpuColumn, p99Column, lostColumn, ownColumn, shareColumn, loadColumn},
		goals: []goal{
			{text: "at least 1.5 x the write loop", of: "floor", limit: 1.5, least: true},
			{text: "at least 2.5 x nchan", of: "nchan", limit: 2.5, least: true},
		},
		args: func(_ string, quick bool) []string {
			return list("fanout", "-n", size(quick, 5000, 300), "--duration", size(quick, 10, 1)+"s")
		},
		note: "In flight means not yet acknowledged. The write loop acknowledges after its last write, the others when they have accepted the message.",
	},
	{
		name: "fanout64", title: "As fast as possible to 5,000 readers, 64 publishes in flight", servers: allServers,
		columns: []column{rateColumn, cpuColumn, p99Column, lostColumn, orderColumn, ownColumn, shareColumn, loadColumn},
		goals: []goal{
			{text: "at least 2,000,000/s", limit: 2e6, least: true},
			{text: "at least 20 x nchan", of: "nchan", limit: 20, least: true},
		},
		args: func(s string, quick bool) []string {
			messages := size(quick, 300, 100)
			if s == "weir" {
				messages = size(quick, 3000, 1000)
			}
			return list("fanout", "-n", size(quick, 5000, 300), "--inflight", "64", "--messages", messages)
		},
		note: "3,000 messages; 300 for the others, which would take minutes.",
	},
	{
		name: "open", title: "200 messages/s to 5,000 readers, open loop", servers: onlyWeir,
		columns: []column{p99Column, rateColumn, lostColumn, cpuColumn, growColumn, ownColumn},
		goals:   []goal{{text: "p99 at most 150 ms", limit: 0.150}, {text: "none lost", metric: "lost"}},
		args: func(_ string, quick bool) []string {
			return list("fanout", "-n", size(quick, 5000, 300), "--rate", "200", "--duration", size(quick, 20, 2)+"s", "--inflight", "16")
		},
		note: "1,000,000 deliveries/s are offered. A message that cannot be sent in time counts from the moment it was due.",
	},
	{
		name: "topics", title: "5,000 topics with one reader each, 64 single posts in flight", servers: withTopics,
		columns: []column{{"publish_rate", "publishes/s", thousands, true}, {"server_cpu_publish", "CPU per publish", micro, false}, p99Column, lostColumn},
		goals:   []goal{{text: "at least 1.2 x nchan", of: "nchan", limit: 1.2, least: true}},
		args: func(_ string, quick bool) []string {
			return list("topics", "-n", size(quick, 5000, 300), "--inflight", "64", "--duration", size(quick, 8, 1)+"s")
		},
	},
	{
		name: "batch", title: "5,000 topics with one reader each, JSON-line batches", servers: onlyWeir,
		columns: []column{{"publish_rate", "messages/s", thousands, true}, {"server_cpu_publish", "CPU per message", micro, false}, p99Column, lostColumn},
		goals:   []goal{{text: "at least 200,000/s", limit: 200_000, least: true}},
		args: func(_ string, quick bool) []string {
			return list("topics", "-n", size(quick, 5000, 300), "--inflight", "8", "--batch", "1000", "--duration", size(quick, 8, 1)+"s")
		},
	},
	{
		name: "publish", title: "JSON-line batches without readers", servers: onlyWeir,
		columns: []column{{"publish_rate", "messages/s", thousands, true}, {"server_cpu_publish", "CPU per message", micro, false}},
		args: func(_ string, quick bool) []string {
			return list("publish", "--inflight", "4", "--batch", "1000", "--duration", size(quick, 5, 1)+"s")
		},
	},
	{
		name: "alone", title: "A message to one reader, nobody else there", servers: onlyWeir,
		columns: []column{{"server_cpu_publish", "CPU per message", micro, false}, {"p50", "p50", milli, false}, p99Column, lostColumn},
		args: func(_ string, quick bool) []string {
			return list("fanout", "-n", "1", "--messages", size(quick, 100_000, 2000))
		},
	},
	{
		name: "among", title: "A message to one reader among 18,000 others and 1,000 patterns", servers: onlyWeir,
		columns: []column{{"server_cpu_publish", "CPU per message", micro, false}, {"p50", "p50", milli, false}, p99Column, lostColumn},
		goals:   []goal{{text: "at most 1.1 x alone", of: "weir@alone", limit: 1.1}},
		args: func(_ string, quick bool) []string {
			return list("fanout", "-n", "1", "--messages", size(quick, 100_000, 2000), "--others", size(quick, 18000, 300), "--patterns", size(quick, 1000, 20))
		},
		note: "Each of the 18,000 follows a topic of its own.",
	},
	{
		name: "storm", title: "15,000 readers reconnect at once, 10 messages behind each", servers: []string{"weir", "nchan"},
		columns: []column{{"resume_ratio", "caught up / fresh connections", ratio, false}, {"resume_time", "caught up", seconds, false}, {"fresh_time", "fresh", seconds, false}, lostColumn, {"server_rss_peak", "peak RSS", mebi, false}},
		note:    "Medians of three storms on one server process.",
		goals:   []goal{{text: "at most 1.5", limit: 1.5}, {text: "none lost", metric: "lost"}},
		args: func(_ string, quick bool) []string {
			return list("storm", "-n", size(quick, 15000, 300), "--messages", "10", "--rounds", "3")
		},
	},
	{
		name: "slow", title: "1 % of 5,000 readers stalled, 20 messages/s", servers: []string{"weir", "nchan"},
		columns: []column{{"p99_ratio", "p99 of the others / before", ratio, false}, p99Column, {"base_p99", "p99 before", milli, false}, lostColumn, {"stalled_lost", "lost by stalled", whole, false}},
		goals:   []goal{{text: "at most 1.1", limit: 1.1}, {text: "none lost", metric: "stalled_lost"}},
		args: func(_ string, quick bool) []string {
			return list("slow", "-n", size(quick, 5000, 300), "--stalled", "1", "--rate", "20", "--duration", size(quick, 10, 2)+"s", "--burst", size(quick, 2000, 200))
		},
		note: "A burst of 2,000 messages fills the buffers on the way to the stalled readers first; the same burst goes before the time without them.",
	},
	{
		name: "stalled", title: "Memory of stalled readers, half of 5,000", servers: []string{"weir", "nchan"},
		columns: []column{{"rss_per_stalled", "RSS per stalled reader", kibi, false}, lostColumn, {"stalled_lost", "lost by stalled", whole, false}},
		goals:   []goal{{text: "at most 4 KiB more per stalled reader", limit: 4096}, {text: "none lost", metric: "stalled_lost"}},
		args: func(_ string, quick bool) []string {
			return list("slow", "-n", size(quick, 5000, 300), "--stalled", "50", "--rate", "20", "--duration", size(quick, 5, 2)+"s", "--burst", size(quick, 2000, 200))
		},
		note: "What the server's memory grew more than in the same time without stalled readers. Half of them stall, because a few megabytes of garbage more or less would hide what a few cost.",
	},
	{
		name: "scale", title: "Both processors given to the server", servers: []string{"procs-1", "procs-2"},
		columns: []column{rateColumn},
		goals:   []goal{{text: "GOMAXPROCS 2 at least 1.6 x GOMAXPROCS 1", of: "procs-2/procs-1", limit: 1.6, least: true}},
		args: func(_ string, quick bool) []string {
			return list("-benchtime", size(quick, 1_000_000, 50_000)+"x")
		},
		note: "A Go benchmark: 1,000 readers over real sockets that do not read, because a load that reads takes as much of the processors as the server. One message at a time; the kernel's buffers take all.",
	},
}, curve()...)

// curve makes the measurements of the plot: for each size idle memory, and
// processor time at 40,000 deliveries a second.
func curve() (list []measurement) {
	for _, n := range curveSizes {
		list = append(list, curvePoint(n)...)
	}
	return list
}

func curvePoint(n int) []measurement {
	small := func(quick bool) int { // the size that takes the place of n
		if quick {
			return n / 50
		}
		return n
	}
	servers := append(slices.Clone(allServers), "weir-tls")
	return []measurement{
		{
			name: fmt.Sprintf(curvePattern, "memory", n), title: fmt.Sprintf("%d idle connections", n), servers: servers, columns: []column{rssColumn},
			args: func(_ string, quick bool) []string {
				return list("idle", "-n", strconv.Itoa(small(quick)), "--hold", "3s")
			},
		},
		{
			name: fmt.Sprintf(curvePattern, "cpu", n), title: fmt.Sprintf("%d readers, 40,000 deliveries/s", n), servers: servers, columns: []column{cpuColumn, ownColumn},
			args: func(_ string, quick bool) []string {
				n := small(quick)
				return list("fanout", "-n", strconv.Itoa(n), "--rate", strconv.FormatFloat(40_000/float64(n), 'f', 3, 64), "--duration", size(quick, 8, 1)+"s")
			},
		},
	}
}

func list(args ...string) []string { return args }

func size(quick bool, full, small int) string {
	if quick {
		full = small
	}
	return strconv.Itoa(full)
}

// measurementNames lists them; all points of the plot are one.
func measurementNames() (names []string) {
	for _, m := range measurements {
		name, _, _ := strings.Cut(m.name, "-")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func micro(v float64) string   { return fmt.Sprintf("%.2f us", v*1e6) }
func milli(v float64) string   { return fmt.Sprintf("%.1f ms", v*1e3) }
func seconds(v float64) string { return fmt.Sprintf("%.2f s", v) }
func kibi(v float64) string    { return fmt.Sprintf("%.2f KiB", v/1024) }
func mebi(v float64) string    { return fmt.Sprintf("%.1f MiB", v/1024/1024) }
func ratio(v float64) string   { return fmt.Sprintf("%.2f", v) }
func whole(v float64) string   { return fmt.Sprintf("%.0f", v) }

func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
