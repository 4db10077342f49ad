package server_test

import (
	"encoding/json"
	"fmt"
	"github.com/weirstream/weir/internal/feed"
	"maps"
	"math"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// A family is one metric of a page. Its samples are by labels, as they stand there.
type family struct {
	kind, help string
	samples    map[string]float64
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z_:][a-z0-9_:]*) ((?:[^\\]|\\\\|\\n)*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-z_:][a-z0-9_:]*)((?:\{(?:[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"[,}])+)?) (\S+)$`)
)

// parse reads a page, and takes no other form of it than HELP, TYPE and samples, each
// metric once.
func parse(t *testing.T, page string) map[string]*family {
	t.Helper()
	families := make(map[string]*family)
	name := ""
	for line := range strings.Lines(page) {
		line, ended := strings.CutSuffix(line, "\n")
		help, kind, sample := helpLine.FindStringSubmatch(line), typeLine.FindStringSubmatch(line), sampleLine.FindStringSubmatch(line)
		switch f := families[name]; {
		case !ended:
			t.Fatalf("the last line has no end: %q", line)
		case help != nil && families[help[1]] == nil:
			name = help[1]
			families[name] = &family{help: help[2], samples: make(map[string]float64)}
		case kind != nil && kind[1] == name && f.kind == "":
			f.kind = kind[2]
		case sample != nil && sample[1] == name && f.kind != "":
			v, err := strconv.ParseFloat(sample[3], 64)
			if _, twice := f.samples[sample[2]]; twice || err != nil || f.kind == "counter" && !(v >= 0) {
				t.Fatalf("bad or second sample: %q", line)
			}
			f.samples[sample[2]] = v
		default:
			t.Fatalf("line %q does not belong here", line)
		}
	}
	return families
}

// scrape gets the metrics of a server.
func (r *running) scrape(t *testing.T) map[string]*family {
	t.Helper()
	resp, page := r.do(t, "GET", "/metrics", "")
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("GET /metrics: %s, Content-Type %q", resp.Status, got)
	}
	return parse(t, page)
}

// figures are the samples of all metrics, by name and labels.
func figures(families map[string]*family) map[string]float64 {
	all := make(map[string]float64)
	for name, f := range families {
		for labels, v := range f.samples {
			all[name+labels] = v
		}
	}
	return all
}

// TestMetricsAreWhatHappened makes traffic and looks for each figure of it.
func TestMetricsAreWhatHappened(t *testing.T) {
	s := defaults(t)
	s.Data = t.TempDir()
	s.History.MaxMessages = 4
	r := start(t, s)
	a := r.follow(t, "/v1/topics/a", "text/plain")
	r.follow(t, "/v1/topics/a", "text/plain")
	gone := r.follow(t, "/v1/topics/b", "text/plain")
	for range 5 {
		r.publish(t, "a", "hello")
	}
	for range 3 { // twice for nothing
		r.do(t, "POST", "/v1/topics/b", "12345678", "Idempotency-Key: x")
	}
	for range 2 {
		r.do(t, "POST", "/v1/topics/a//b", "x")
	}
	r.do(t, "GET", "/v1/topics/a?wait=0s&last_event_id=strange", "")
	for range 5 {
		a.line(t)
	}
	gone.line(t)
	gone.Close()
	eventually(t, "one reader is gone", func() bool { return r.Streams() == 2 })
	want := map[string]float64{
		"weir_connections": 2,
		`weir_connections_closed_total{reason="client_gone"}`: 1,
		`weir_connections_closed_total{reason="ended"}`:       0,
		"weir_readers":                           2,
		"weir_readers_behind":                    0,
		"weir_messages_published_total":          6,
		"weir_messages_delivered_total":          11,
		"weir_delivered_bytes_total":             10*chunked("hello\n") + chunked("12345678\n"),
		"weir_publish_duplicates_total":          2,
		`weir_gaps_told_total{reason="unknown"}`: 1,
		`weir_gaps_told_total{reason="slow"}`:    0,
		`weir_http_requests_total{code="2xx"}`:   3 + 5 + 3 + 1 + 1, // and /version
		`weir_http_requests_total{code="4xx"}`:   2,
		`weir_http_requests_total{code="5xx"}`:   0,
		"weir_log_head":                          6,
		"weir_log_entries":                       4 + 1,
		"weir_log_bytes":                         4*5 + 8,
		"weir_log_topics":                        2,
		"go_sched_gomaxprocs_threads":            float64(runtime.GOMAXPROCS(0)),
		`weir_build_info{commit="",go="` + runtime.Version() + `",version="` + buildVersion(t, r) + `"}`: 1,
	}
	first := r.scrape(t)
	got := figures(first)
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v (there: %v), want %v", name, g, ok, v)
		}
	}
	checkProcess(t, got)
	for name, least := range map[string]float64{"weir_disk_file_bytes": 4096, "weir_disk_free_bytes": 0, "weir_disk_commit_seconds": 1e-7} {
		if g, ok := got[name]; !ok || g < least || g > 1<<30 {
			t.Errorf("%s is %v (there: %v), want at least %v", name, g, ok, least)
		}
	}
	second := r.scrape(t)
	if before, now := got[`weir_http_requests_total{code="2xx"}`], figures(second)[`weir_http_requests_total{code="2xx"}`]; now != before+1 {
		t.Errorf("a scrape counts as %v requests, want 1", now-before)
	}
	for name, f := range first {
		for labels, before := range f.samples {
			if now := second[name].samples[labels]; f.kind == "counter" && now < before {
				t.Errorf("%s%s has gone from %v to %v", name, labels, before, now)
			}
		}
	}
}

// chunked is how many bytes a chunk of HTTP/1.1 has with this content.
func chunked(text string) float64 {
	return float64(len(fmt.Sprintf("%x\r\n%s\r\n", len(text), text)))
}

// buildVersion is the version that the server tells at /version.
func buildVersion(t *testing.T, r *running) string {
	var v struct{ Version, Commit string }
	if _, body := r.do(t, "GET", "/version", ""); json.Unmarshal([]byte(body), &v) != nil || v.Commit != "" {
		t.Fatalf("/version is %s; tests are built without a commit", body)
	}
	return v.Version
}

// checkProcess holds the figures of the process to what is possible.
func checkProcess(t *testing.T, got map[string]float64) {
	t.Helper()
	for name, limits := range map[string][2]float64{
		"go_goroutines":                 {3, 10_000},
		"go_memstats_heap_alloc_bytes":  {1 << 16, 1 << 34},
		"go_memstats_sys_bytes":         {1 << 20, 1 << 34},
		"go_memstats_alloc_bytes_total": {1 << 16, math.MaxFloat64},
		"go_gc_cycles_total":            {0, 1e9},
		"process_cpu_seconds_total":     {1e-6, 1e6},
		"process_start_time_seconds":    {float64(time.Now().Add(-time.Hour).Unix()), float64(time.Now().Unix()) + 2},
		"process_resident_memory_bytes": {1 << 20, 1 << 34},
		"process_virtual_memory_bytes":  {1 << 20, math.MaxFloat64},
		"process_open_fds":              {8, 1e6},
		"process_max_fds":               {64, math.MaxFloat64},
	} {
		if v, ok := got[name]; !ok || v < limits[0] || v > limits[1] {
			t.Errorf("%s is %v (there: %v), want %v to %v", name, v, ok, limits[0], limits[1])
		}
	}
}

// TestMetricsOfAdoptedPublishersAreCounted publishes often enough on one connection
// for it to leave net/http.
func TestMetricsOfAdoptedPublishersAreCounted(t *testing.T) {
	r := start(t, defaults(t))
	c := r.connect(t)
	for range 20 {
		if resp := c.send(t, "POST", "/v1/topics/a", "x"); resp.StatusCode != 201 {
			t.Fatal(resp.Status)
		} else if _, err := c.body.WriteTo(new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
	}
	got := figures(r.scrape(t))
	if got[`weir_http_requests_total{code="2xx"}`] != 20 || got["weir_messages_published_total"] != 20 {
		t.Errorf("after 20 messages: %v", got)
	}
	if _, there := got["weir_disk_file_bytes"]; there {
		t.Error("a log in memory has a file")
	}
}

// TestLabelsDoNotGrowWithTopics publishes to many and compares how many samples there are.
func TestLabelsDoNotGrowWithTopics(t *testing.T) {
	r := start(t, defaults(t))
	before := figures(r.scrape(t))
	for i := range 50 {
		r.publish(t, fmt.Sprintf("topic-%d", i), "x")
		r.follow(t, fmt.Sprintf("/v1/topics/topic-%d", i), "text/plain")
	}
	after := figures(r.scrape(t))
	if got, want := slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)); !slices.Equal(got, want) {
		t.Errorf("there are the samples\n%v\nwant\n%v", got, want)
	}
	if after["weir_log_topics"] != 50 {
		t.Errorf("%v topics, want 50", after["weir_log_topics"])
	}
}

// TestListenersServeMetrics states where /metrics is served.
func TestListenersServeMetrics(t *testing.T) {
	for _, c := range []struct {
		metrics bool
		want    map[string]int // status by handler
	}{
		{true, map[string]int{"all": 200, "api": 200, "page": 404}},
		{true, map[string]int{"all": 404, "api": 404, "page": 404, "admin": 200}},
		{false, map[string]int{"all": 404, "admin": 404}},
	} {
		s := defaults(t)
		s.Metrics, s.Listen, s.Page = c.metrics, nil, true
		for _, handler := range slices.Sorted(maps.Keys(c.want)) {
			s.Listen = append(s.Listen, config.Listener{Name: handler, Network: "tcp", Address: "127.0.0.1:0", Handler: handler})
		}
		r := start(t, s)
		for _, l := range r.Listeners() {
			r.url = l.URL
			if resp, _ := r.do(t, "GET", "/metrics", ""); resp.StatusCode != c.want[l.Handler] {
				t.Errorf("metrics %v, listeners %v: %s answers %s, want %d", c.metrics, c.want, l.Handler, resp.Status, c.want[l.Handler])
			}
		}
		r.stop(t)
	}
}

// TestAdminServesOnlyWhatConcernsOperation looks for everything else on such a listener.
func TestAdminServesOnlyWhatConcernsOperation(t *testing.T) {
	s := defaults(t)
	s.Page, s.Listen[0].Handler = true, "admin"
	r := start(t, s)
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/version": 200, "/metrics": 200,
		"/": 404, "/v1/topics/a?wait=0s": 404, "/v1/events?topic=a&wait=0s": 404, "/v1/streams/a": 404, "/assets/app.js": 404,
	} {
		if resp, _ := r.do(t, "GET", path, ""); resp.StatusCode != want {
			t.Errorf("GET %s: %s, want %d", path, resp.Status, want)
		}
	}
	if resp, _ := r.do(t, "POST", "/v1/topics/a", "x"); resp.StatusCode != 404 {
		t.Errorf("POST: %s, want 404", resp.Status)
	}
	if resp, _ := r.do(t, "POST", "/metrics", "x"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %s, want 405", resp.Status)
	}
}

// TestOperatePageListsTheMetrics compares the table of docs/operate.md with a page.
func TestOperatePageListsTheMetrics(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]family)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)(?:\\{([a-z]+(?:,[a-z]+)*)\\})?` \\| (counter|gauge) \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]+" "+row[2]] = family{kind: row[3], help: row[4]}
	}
	exposed := exposedMetrics(t)
	for name, f := range exposed {
		for labels := range f.samples {
			key := name + " " + strings.Join(labelNames(labels), ",")
			if d := documented[key]; d.kind != f.kind || d.help != f.help {
				t.Errorf("docs/operate.md: row of %s is (%s, %q), want (%s, %q)", key, d.kind, d.help, f.kind, f.help)
			}
		}
	}
	if len(documented) != len(exposed) {
		t.Errorf("docs/operate.md lists %d metrics, there are %d", len(documented), len(exposed))
	}
}

// exposedMetrics are all metrics there are, those of the disk too.
func exposedMetrics(t *testing.T) map[string]*family {
	t.Helper()
	s := defaults(t)
	s.Data = t.TempDir()
	s.Listen[0].Handler = "admin"
	s.Access.Forward.URL = "http://127.0.0.1:1"
	s.TLS.CertFile, s.TLS.KeyFile = certificate(t)
	s.Feeds = []feed.Spec{logFeed(t)}
	return start(t, s).scrape(t)
}

// labelNames returns the names in {a="x",b="y"}.
func labelNames(labels string) (names []string) {
	for _, m := range regexp.MustCompile(`[{,]([a-z]+)="`).FindAllStringSubmatch(labels, -1) {
		names = append(names, m[1])
	}
	return names
}

// A panel is one of a Grafana dashboard, or a row of them.
type panel struct {
	ID         int
	Title      string
	Type       string
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct{ Expr, RefID string }
	Datasource struct{ Type, UID string }
}

// TestDashboardUsesMetricsThatExist reads the expressions of deploy/grafana.json.
func TestDashboardUsesMetricsThatExist(t *testing.T) {
	b, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID    string
		SchemaVersion int
		Panels        []panel
	}
	if err := json.Unmarshal(b, &d); err != nil || d.Title == "" || d.UID == "" || d.SchemaVersion < 38 || len(d.Panels) < 8 {
		t.Fatalf("deploy/grafana.json: %v; title %q, uid %q, schema %d, %d panels", err, d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	exposed := exposedMetrics(t)
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H < 1 {
			t.Errorf("panel %q: id %d is used twice, or its place is bad: %+v", p.Title, p.ID, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("panel %q shows nothing, or is of the data source %q", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr, exposed)
		}
	}
}

// checkExpression wants every name of an expression to be a metric, and counters to be
// in rate or increase.
func checkExpression(t *testing.T, title, expr string, exposed map[string]*family) {
	t.Helper()
	names := regexp.MustCompile(`\b(?:weir|process|go)_[a-z_]+`).FindAllStringIndex(expr, -1)
	if len(names) == 0 {
		t.Errorf("panel %q: %q names no metric", title, expr)
	}
	for _, at := range names {
		name := expr[at[0]:at[1]]
		f := exposed[name]
		if f == nil {
			t.Errorf("panel %q: %q names %s, which is not exposed", title, expr, name)
			continue
		}
		rated := strings.HasSuffix(expr[:at[0]], "rate(") || strings.HasSuffix(expr[:at[0]], "increase(")
		if rated != (f.kind == "counter") {
			t.Errorf("panel %q: %q: %s is a %s; in rate or increase: %v", title, expr, name, f.kind, rated)
		}
	}
}
