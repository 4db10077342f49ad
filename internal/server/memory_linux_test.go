package server_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/machine"
)

// TestShortMemory makes the process larger than it may be, and smaller again.
func TestShortMemory(t *testing.T) {
	s := defaults(t)
	s.Limits.Memory = int64(machine.ReadProcess().RSS) + 100<<20
	r := start(t, s)
	r.publish(t, "mine/a", "before")
	live := r.follow(t, "/v1/topics/mine/a", "text/plain")
	ballast, err := syscall.Mmap(-1, 0, 200<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE) // of which Go knows nothing
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	eventually(t, "memory is short", func() bool { return strings.Contains(r.log.String(), "memory is short") })
	for _, c := range []struct{ method, path, body, header string }{
		{"GET", "/v1/topics/mine/a", "", plain},
		{"GET", "/v1/topics/mine/a?wait=0s", "", plain},
		{"POST", "/v1/topics/mine/a", "x", plain},
		{"POST", "/v1/events", `{"topic":"mine/a","data":"x"}`, lines},
		{"PUT", "/v1/streams/mine/s", "x", plain},
	} {
		resp, body := r.do(t, c.method, c.path, c.body, c.header)
		refused(t, c.method+" "+c.path, resp, body, 503, "overloaded")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if resp, _ := r.do(t, "GET", path, ""); resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if err := syscall.Munmap(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "memory is enough", func() bool { return strings.Contains(r.log.String(), "memory is no longer short") })
	r.publish(t, "mine/a", "after")
	if line := live.line(t); line != "after" {
		t.Errorf("the live reader got %q", line)
	}
}
