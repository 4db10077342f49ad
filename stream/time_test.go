package stream_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// The tests of this file run in virtual time: durations are exact, nothing waits.

// arrivals reads lines of a stream and notes when each came.
func arrivals(t *testing.T, o stream.Options, fn func(c *stream.Conn, r *http.Request)) (lines []string, at []time.Duration) {
	o.Engine = stream.NewEngine(1)
	client, _ := memory(t, o.SSE(fn))
	start := time.Now()
	resp, err := client.Get("http://memory/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	scan := bufio.NewScanner(resp.Body)
	for scan.Scan() {
		if scan.Text() != "" && !strings.HasPrefix(scan.Text(), "retry: ") {
			lines = append(lines, scan.Text())
			at = append(at, time.Since(start))
		}
	}
	return lines, at
}

func TestEveryTicksExactlyAndStopsWithTheStream(t *testing.T) {
	for _, every := range []time.Duration{2 * time.Second, 250 * time.Millisecond, 1500 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			ticks := 0
			_, at := arrivals(t, stream.Options{}, func(c *stream.Conn, r *http.Request) {
				c.Every(every, func() {
					ticks++
					c.Send(sse.Text("tick"))
					if ticks == 5 {
						c.End()
					}
				})
			})
			time.Sleep(time.Hour)
			if ticks != 5 {
				t.Errorf("every %v: ticked %d times, want 5: the timer outlived the stream", every, ticks)
			}
			for i, d := range at {
				if want := time.Duration(i+1) * every; d != want {
					t.Errorf("every %v: tick %d after %v, want %v", every, i+1, d, want)
				}
			}
		})
	}
}

func TestSlowCallbackSkipsTicksAndNeverOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, calls := 0, 0
		arrivals(t, stream.Options{}, func(c *stream.Conn, r *http.Request) {
			body := func() {
				if running++; running > 1 {
					t.Error("two callbacks of one stream overlap")
				}
				calls++
				time.Sleep(2500 * time.Millisecond)
				running--
			}
			c.Every(time.Second, body)
			c.After(time.Second, body)
			c.After(20*time.Second, func() { c.End() })
		})
		if calls < 5 || calls > 9 {
			t.Errorf("%d calls of 2.5 s each in 20 s, want 5 to 9", calls)
		}
	})
}

func TestSleepingHandlerDelaysNoOtherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := stream.NewEngine(1)
		client, _ := memory(t, stream.Options{Engine: engine}.SSE(func(c *stream.Conn, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(time.Hour)
			}
			c.Send(sse.Text("now"))
			c.End()
		}))
		slow, err := client.Get("http://memory/slow")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		quick, err := client.Get("http://memory/quick")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(quick.Body); !strings.Contains(string(body), "now") || time.Since(start) != 0 {
			t.Errorf("quick stream got %q after %v", body, time.Since(start))
		}
		io.Copy(io.Discard, slow.Body)
	})
}

func TestHeartbeatIsPutOffByTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines, at := arrivals(t, stream.Options{Heartbeat: 10 * time.Second}, func(c *stream.Conn, r *http.Request) {
			c.After(6*time.Second, func() { c.Send(sse.Text("traffic")) })
			c.After(40*time.Second, func() { c.End() })
		})
		want := []struct {
			line string
			at   time.Duration
		}{{"data: traffic", 6 * time.Second}, {":", 16 * time.Second}, {":", 26 * time.Second}, {":", 36 * time.Second}}
		if len(lines) != len(want) {
			t.Fatalf("lines %q at %v, want %v", lines, at, want)
		}
		for i, w := range want {
			if late := at[i] - w.at; lines[i] != w.line || late < 0 || late > 300*time.Millisecond {
				t.Errorf("line %q at %v, want %q at %v", lines[i], at[i], w.line, w.at)
			}
		}
	})
}

func TestMaxAgeEndsStreamWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ages := make(map[time.Duration]bool)
		for range 20 {
			var reason stream.Reason
			start := time.Now()
			arrivals(t, stream.Options{MaxAge: time.Minute, Heartbeat: -1}, func(c *stream.Conn, r *http.Request) {
				c.OnClose(func(r stream.Reason) { reason = r })
			})
			age := time.Since(start)
			synctest.Wait()
			if reason != stream.MaxAge || age < 40*time.Second || age > time.Minute+time.Second {
				t.Errorf("ended by %v after %v, want maximum age between 40 s and 1 min", reason, age)
			}
			ages[age] = true
		}
		if len(ages) < 5 {
			t.Errorf("20 streams ended at only %d different ages", len(ages))
		}
	})
}

func TestRetryIsStatedWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[string]bool)
		for range 20 {
			client, _ := memory(t, stream.Options{Engine: stream.NewEngine(1), Retry: 5 * time.Second}.SSE(func(c *stream.Conn, r *http.Request) { c.End() }))
			resp, err := client.Get("http://memory/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			var d sse.Decoder
			if err := d.Feed(body, func(sse.Event) error { return nil }); err != nil {
				t.Fatal(err)
			}
			retry, ok := d.Retry()
			if !ok || retry < 4*time.Second || retry > 6*time.Second {
				t.Fatalf("retry %v, %v in %q; want 4 s to 6 s", retry, ok, body)
			}
			seen[retry.String()] = true
		}
		if len(seen) < 5 {
			t.Errorf("20 streams state only %d different times", len(seen))
		}
	})
}

func TestTimerStopEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		arrivals(t, stream.Options{}, func(c *stream.Conn, r *http.Request) {
			var timer *stream.Timer
			timer = c.Every(time.Second, func() {
				if calls++; calls == 3 {
					timer.Stop()
				}
			})
			c.After(10*time.Second, func() { c.End() })
		})
		if calls != 3 {
			t.Errorf("%d calls, want 3", calls)
		}
	})
}
