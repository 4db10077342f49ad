package chaos_test

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/bench"
)

// stormMemory bounds the memory of a server to which all clients come back at once, in
// bytes for each; net/http needs far more for a request than a stream needs later.
const stormMemory = 16 << 10

// TestAllClientsResumeAtOnceAfterARestart has the storm of "weir bench" come upon a
// server that was killed while nobody was connected, after they had missed something.
func TestAllClientsResumeAtOnceAfterARestart(t *testing.T) {
	clients := size(5000, 15000)
	s := newServer(t, everything...)
	s.start()
	idle := s.memory()
	var restarted time.Duration
	o := bench.Defaults(bench.Storm)
	o.Server, o.Connections, o.Messages = s.url, clients, 50
	o.Patience, o.TimeLimit = patience, 5*patience
	o.Progress = func(p bench.Progress) {
		// Everything is published, and the readers wait for a moment before they come.
		if p.Step == "publish" && p.Done == p.Total && restarted == 0 {
			start := time.Now()
			s.kill()
			s.start()
			restarted = time.Since(start)
		}
	}
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m := s.memory()
	value := func(name string) float64 {
		v, ok := r.Value(name)
		if !ok {
			t.Errorf("the load tool does not say %s", name)
		}
		return v
	}
	if restarted == 0 {
		t.Fatal("the server was not restarted")
	}
	if want := float64(clients) * 50; value("delivered") != want {
		t.Errorf("%v messages were delivered, want %v", value("delivered"), want)
	}
	for _, name := range []string{"lost", "out_of_order", "doubled", "misrouted", "damaged", "divergent", "gaps", "failed"} {
		if v := value(name); v != 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if most := idle.RSS + int64(clients)*stormMemory; m.Peak > most {
		t.Errorf("the server took %d MiB, want at most %d", m.Peak>>20, most>>20)
	}
	t.Logf("%d clients came back and caught up in %.2f s (fresh: %.2f s); restart took %v; server: %v, %v before",
		clients, value("resume_time"), value("fresh_time"), restarted.Round(time.Millisecond), m, idle)
}
