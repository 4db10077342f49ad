package bench_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/bench"
)

// TestBadServersAreFoundOut has ten readers and a hundred messages: whatever a
// server does wrong must show, and nothing else.
func TestBadServersAreFoundOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		badly func(reader, n int, frame string, held *string) string
		want  map[string]float64 // besides what is clean
	}{
		{"does its work", nil, nil},
		{"loses every tenth", func(_, n int, frame string, _ *string) string {
			if n%10 == 5 {
				return ""
			}
			return frame
		}, map[string]float64{"delivered": 900, "lost": 100}},
		{"loses the last for one reader", func(reader, n int, frame string, _ *string) string {
			if reader == 3 && n == 100 {
				return ""
			}
			return frame
		}, map[string]float64{"delivered": 999, "lost": 1}},
		{"doubles some for one reader", func(reader, n int, frame string, _ *string) string {
			if reader == 3 && n%20 == 0 {
				return frame + frame
			}
			return frame
		}, map[string]float64{"doubled": 5}},
		{"repeats an old one", func(reader, n int, frame string, held *string) string {
			switch n {
			case 10:
				*held = frame
			case 90:
				return frame + *held
			}
			return frame
		}, map[string]float64{"doubled": 10}},
		{"changes places for two readers", func(reader, n int, frame string, held *string) string {
			switch {
			case reader > 1:
			case n%25 == 1:
				*held = frame
				return ""
			case n%25 == 3:
				return frame + *held
			}
			return frame
		}, map[string]float64{"out_of_order": 8, "divergent": 2}},
		{"cuts one short", func(reader, n int, frame string, _ *string) string {
			if reader == 0 && n == 7 {
				return frame[:len(frame)-3] + "\n\n"
			}
			return frame
		}, map[string]float64{"damaged": 1}},
		{"sends what was not published", func(reader, n int, frame string, _ *string) string {
			if n == 50 {
				at := strings.Index(frame, "-00000000-") + 8
				return frame + frame[:at] + "7" + frame[at+1:]
			}
			return frame
		}, map[string]float64{"misrouted": 10}},
		{"says that messages are lost", func(reader, n int, frame string, _ *string) string {
			if reader == 0 && n == 20 {
				return "event: weir.gap\ndata: {}\n\n"
			}
			return frame
		}, map[string]float64{"delivered": 999, "lost": 1, "gaps": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &relay{badly: c.badly}
			want := clean(1000)
			for name, v := range c.want {
				want[name] = v
			}
			expect(t, run(t, s.options(t)), want)
		})
	}
}

// TestWindowHoldsPublishingBack loses one message, after which nothing may follow.
func TestWindowHoldsPublishingBack(t *testing.T) {
	s := &relay{badly: func(_, n int, frame string, _ *string) string {
		if n == 30 {
			return ""
		}
		return frame
	}}
	o := s.options(t)
	o.Window = 1
	expect(t, run(t, o), map[string]float64{"published": 30, "refused": 0, "lost": 10})
}

func TestDisconnectionsAreCounted(t *testing.T) {
	s := new(relay)
	s.badly = func(reader, n int, frame string, _ *string) string {
		if reader == 2 && n == 50 {
			close(s.readers[reader].stop)
		}
		return frame
	}
	r := run(t, s.options(t))
	expect(t, r, map[string]float64{"disconnected": 1, "expected": 1000})
	if lost, _ := r.Value("lost"); lost < 50 {
		t.Errorf("%v messages were lost, want 50 or more", lost)
	}
}

// TestEndsRightAfterTheHeadAreSeen has content and end arrive at once.
func TestEndsRightAfterTheHeadAreSeen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: bye\n\n")
			_ = c.Close()
		}
	}()
	o := options(bench.Idle, "http://"+l.Addr().String())
	o.Connections, o.Hold, o.PIDs = 20, 300*time.Millisecond, []int{os.Getpid()}
	expect(t, run(t, o), map[string]float64{"disconnected": 20, "failed": 0})
}

func TestRefusalsAreNotLosses(t *testing.T) {
	s := &relay{answer: func(w http.ResponseWriter, n int) {
		if n%10 == 0 {
			http.Error(w, "too many", http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Connection", "close") // the next publish needs a new connection
		w.WriteHeader(http.StatusCreated)
	}}
	s.badly = func(_, n int, frame string, _ *string) string {
		if (n+relaySkips)%10 == 0 {
			return "" // what is refused is not delivered
		}
		return frame
	}
	r := run(t, s.options(t))
	expect(t, r, map[string]float64{"refused": 10, "published": 90, "delivered": 900, "expected": 900, "lost": 0})
}

func TestServersThatRefuseEverythingEndTheRun(t *testing.T) {
	s := &relay{answer: func(w http.ResponseWriter, _ int) { http.Error(w, "never", http.StatusForbidden) }}
	_, err := bench.Run(t.Context(), s.options(t))
	if !errors.Is(err, bench.ErrRefused) || !strings.Contains(err.Error(), `status 403 "never\n"`) {
		t.Errorf("error %v, want one with status and text", err)
	}
	o := s.options(t)
	o.SubscribeURL = o.Server + "/elsewhere"
	if _, err = bench.Run(t.Context(), o); !errors.Is(err, bench.ErrRefused) || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("error %v, want one with the status", err)
	}
}

func TestReadersOfAnotherPlaceAreNoticed(t *testing.T) {
	s, other := new(relay), new(relay)
	o := s.options(t)
	o.PublishURL = other.options(t).PublishURL
	if _, err := bench.Run(t.Context(), o); !errors.Is(err, bench.ErrRefused) || !strings.Contains(err.Error(), "receive nothing") {
		t.Errorf("error %v, want one that says that readers receive nothing", err)
	}
}
