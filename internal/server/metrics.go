package server

import (
	"maps"
	"net/http"
	"runtime"
	runtimemetrics "runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/machine"
	"github.com/weirstream/weir/internal/metrics"
	"github.com/weirstream/weir/stream"
)

// metrics answers a scrape. Everything is counted where it happens; here the counts
// are only read. No label has a value that a client chose.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	var p metrics.Page
	s.connectionMetrics(&p)
	s.messageMetrics(&p)
	s.logMetrics(&p)
	s.diskMetrics(&p)
	s.refusalMetrics(&p)
	s.certMetrics(&p)
	s.feedMetrics(&p)
	s.presenceMetrics(&p)
	s.webhookMetrics(&p)
	buildMetrics(&p)
	processMetrics(&p)
	goMetrics(&p)
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(p.Text()) // the client may be gone
}

// value is for metrics without labels.
func value[T int | int64 | uint64 | float64](v T) metrics.Sample { return metrics.Value(v) }

func labelled(v int64, labels ...string) metrics.Sample {
	return metrics.Sample{Value: float64(v), Labels: labels}
}

func (s *Server) connectionMetrics(p *metrics.Page) {
	p.Gauge("weir_connections", "Streams that are open.", value(s.engine.Len()))
	var closed []metrics.Sample
	for r := stream.Ended; r <= stream.Panicked; r++ {
		closed = append(closed, labelled(s.engine.Closed(r), "reason", strings.ReplaceAll(r.String(), " ", "_")))
	}
	p.Counter("weir_connections_closed_total", "Streams that have been closed, by reason.", closed...)
	var answers []metrics.Sample
	for i, class := range classes {
		answers = append(answers, labelled(s.traffic.answers[i].Load(), "code", class))
	}
	p.Counter("weir_http_requests_total", "Requests answered, by class of the status. A stream counts when it begins.", answers...)
}

func (s *Server) messageMetrics(p *metrics.Page) {
	h := s.hub.Stats()
	p.Gauge("weir_readers", "Streams that follow topics.", value(h.Readers))
	p.Gauge("weir_readers_behind", "Readers that are catching up from the log.", value(h.Behind))
	p.Counter("weir_messages_published_total", "Messages published.", value(h.Published))
	p.Counter("weir_publish_duplicates_total", "Messages not stored again, because their idempotency key had been used.", value(h.Duplicates))
	p.Counter("weir_messages_delivered_total", "Messages written to streams.", value(s.highest.delivered.atLeast(h.Delivered)))
	p.Counter("weir_delivered_bytes_total", "Bytes written to streams for messages.", value(s.highest.bytes.atLeast(h.Bytes)))
	var told []metrics.Sample
	gaps := s.hub.Gaps()
	for _, reason := range slices.Sorted(maps.Keys(gaps)) {
		told = append(told, labelled(gaps[reason], "reason", reason))
	}
	p.Counter("weir_gaps_told_total", "Gaps that readers were told of, by reason.", told...)
	p.Counter("weir_trace_spans_dropped_total", "Spans of traces that were not sent.", value(s.tracer.Dropped()))
}

func (s *Server) logMetrics(p *metrics.Page) {
	kept := s.store.Bounds(everything)
	p.Gauge("weir_log_head", "Position of the newest message ever.", value(s.store.Head()))
	p.Gauge("weir_log_entries", "Messages kept.", value(kept.Entries))
	p.Gauge("weir_log_bytes", "Bytes of data of the messages kept.", value(kept.Bytes))
	up := 1
	if s.failed.Load() || s.shared != nil && !s.shared.Stats().Up {
		up = 0
	}
	p.Gauge("weir_log_up", "1 while messages can be stored, as far as the server knows.", value(up))
	p.Gauge("weir_log_topics", "Topics known.", value(s.store.Topics()))
}

// refusalMetrics are about what clients wanted and did not get.
func (s *Server) refusalMetrics(p *metrics.Page) {
	g := s.gate.Stats()
	p.Counter("weir_access_refused_total", "Requests refused because nobody knows who sent them, or because they may not.", value(g.Refused))
	var limited []metrics.Sample
	for _, kind := range slices.Sorted(maps.Keys(g.Streams)) {
		limited = append(limited, labelled(int64(g.Streams[kind]), "limit", "streams", "of", kind),
			labelled(int64(g.Messages[kind]), "limit", "messages", "of", kind), labelled(int64(g.Replays[kind]), "limit", "replay", "of", kind))
	}
	limited = append(limited, labelled(int64(g.Full), "limit", "clients", "of", "everyone"), labelled(int64(g.Memory), "limit", "memory", "of", "everyone"),
		labelled(s.sockets.refused.Load(), "limit", "sockets", "of", "everyone"))
	p.Counter("weir_limited_total", "Requests refused at a limit, by what is limited and whose limit it is.", limited...)
	p.Gauge("weir_clients", "Addresses, users and tokens that are counted.", value(g.Clients))
	p.Gauge("weir_sockets", "Connections of clients, idle ones included.", value(s.socketsOpen()))
	waiting := 0
	if s.tickets != nil {
		waiting = s.tickets.Len()
	}
	p.Gauge("weir_tickets", "Tickets that nobody has used yet, of all nodes that share the log.", value(waiting))
	s.forwardMetrics(p)
}

func (s *Server) forwardMetrics(p *metrics.Page) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.guard.forward == nil {
		return
	}
	f := s.guard.forward.Stats()
	p.Counter("weir_forward_requests_total", "Requests whose sender the application was to name. Only with access.forward-url.", value(f.Requests))
	p.Counter("weir_forward_hits_total", "Those of them that an earlier answer decided. Only with access.forward-url.", value(f.Hits))
	p.Counter("weir_forward_failures_total", "Questions that the application did not answer. Only with access.forward-url.", value(f.Failures))
	p.Gauge("weir_forward_seconds", "Time that its last answer took. Only with access.forward-url.", value(f.Latency.Seconds()))
}

func (s *Server) certMetrics(p *metrics.Page) {
	if s.certs == nil {
		return
	}
	var until []metrics.Sample
	for _, c := range s.certs.Expiry() {
		until = append(until, metrics.Sample{Value: float64(c.NotAfter.Unix()), Labels: []string{"name", c.Name}})
	}
	p.Gauge("weir_certificate_expiry_seconds", "When a certificate expires, in seconds since 1970. Only with TLS.", until...)
}

// everything selects all topics.
var everything = func() *eventlog.Selector {
	sel, err := eventlog.Select("**")
	if err != nil {
		panic("server: " + err.Error())
	}
	return sel
}()

func (s *Server) diskMetrics(p *metrics.Page) {
	if s.disk == nil {
		return
	}
	d := s.disk.Stats()
	p.Gauge("weir_disk_file_bytes", "Size of the log's file. Only with --data.", value(d.FileBytes))
	p.Gauge("weir_disk_free_bytes", "Bytes in that file that will be used again. Only with --data.", value(d.FreeBytes))
	p.Gauge("weir_disk_commit_seconds", "Time that the last write to that file took. Only with --data.", value(d.LastSync.Seconds()))
}

func buildMetrics(p *metrics.Page) {
	b := readBuild()
	p.Gauge("weir_build_info", "Always 1; the labels say what the program was made from.",
		labelled(1, "commit", b.Commit, "go", b.Go, "version", b.Version))
}

// processMetrics have the names that Prometheus' own libraries use.
func processMetrics(p *metrics.Page) {
	m := machine.ReadProcess()
	if m.Started.IsZero() {
		return // unknown on this system
	}
	p.Counter("process_cpu_seconds_total", "Processor time used.", value(m.CPU.Seconds()))
	p.Gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.", value(float64(m.Started.UnixMilli())/1000))
	p.Gauge("process_resident_memory_bytes", "Resident memory.", value(m.RSS))
	p.Gauge("process_virtual_memory_bytes", "Address space.", value(m.Virtual))
	p.Gauge("process_open_fds", "Open descriptors.", value(m.Files))
	p.Gauge("process_max_fds", "Descriptors that may be open.", value(m.MaxFiles))
}

// goMetrics do not stop the program to read them.
func goMetrics(p *metrics.Page) {
	read := []runtimemetrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	runtimemetrics.Read(read)
	p.Gauge("go_goroutines", "Goroutines.", value(runtime.NumGoroutine()))
	p.Gauge("go_sched_gomaxprocs_threads", "Threads that run Go code at once.", value(runtime.GOMAXPROCS(0)))
	p.Gauge("go_memstats_heap_alloc_bytes", "Bytes of objects on the heap.", value(read[0].Value.Uint64()))
	p.Gauge("go_memstats_sys_bytes", "Bytes got from the system.", value(read[1].Value.Uint64()))
	p.Counter("go_gc_cycles_total", "Garbage collections.", value(read[2].Value.Uint64()))
	p.Counter("go_memstats_alloc_bytes_total", "Bytes allocated on the heap.", value(read[3].Value.Uint64()))
}

// A rising count never steps back, although what it is fed with does: the hub counts
// a write when it begins, and less when it falls short. Prometheus would take that
// for a restart, and add the whole count to what it had.
type rising struct{ highest atomic.Int64 }

// atLeast returns n, or the highest it was ever called with.
func (r *rising) atLeast(n int64) int64 {
	for {
		old := r.highest.Load()
		if n <= old {
			return old
		}
		if r.highest.CompareAndSwap(old, n) {
			return n
		}
	}
}
