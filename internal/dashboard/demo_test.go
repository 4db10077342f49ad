package dashboard_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/dashboard"
	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/stream"
)

// open asks a server in memory, with virtual time, for a demo.
func open(t *testing.T, path string) *http.Response {
	t.Helper()
	ln := testnet.Listen()
	srv := &http.Server{Handler: dashboard.Handler(dashboard.Options{Stream: stream.Options{Engine: stream.NewEngine(1)}})}
	go srv.Serve(ln)
	client := &http.Client{Transport: &http.Transport{DialContext: ln.Dial, DisableKeepAlives: true}}
	t.Cleanup(func() { srv.Close() })
	resp, err := client.Get("http://memory" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestTimeDemoTicksEachSecondWithItsOwnCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := open(t, "/demo/time")
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %q, want text/event-stream", got)
		}
		start := time.Now()
		scan := bufio.NewScanner(resp.Body)
		for n := 1; n <= 3 && scan.Scan(); {
			text, isData := strings.CutPrefix(scan.Text(), "data: ")
			if !isData {
				continue
			}
			now := start.Add(time.Duration(n) * time.Second)
			want := fmt.Sprintf("Server time: %s, Counter: %d", now.Format("15:04:05"), n)
			if text != want || !time.Now().Equal(now) {
				t.Errorf("tick %d is %q after %v, want %q after %d s", n, text, time.Since(start), want, n)
			}
			n++
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three ticks took %v, want 3s", took)
		}
	})
}

func TestChunksDemoSendsTenPiecesTwoSecondsApartThenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		resp := open(t, "/demo/chunks")
		if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("Content-Type %q, want text/html; charset=utf-8", got)
		}
		scan := bufio.NewScanner(resp.Body)
		scan.Split(pieces)
		n := 0
		for ; n < 12 && scan.Scan(); n++ {
			want := "weir: 10 pieces"
			if n > 0 {
				want = fmt.Sprintf("Piece %d of 10", n)
			}
			if at := time.Duration(n) * 2 * time.Second; !strings.HasSuffix(scan.Text(), want) || time.Since(start) != at {
				t.Errorf("piece %d is %q after %v, want %q after %v", n, scan.Text(), time.Since(start), want, at)
			}
		}
		if n != 11 || scan.Err() != nil {
			t.Errorf("%d pieces and error %v, want 11 and a clean end", n, scan.Err())
		}
	})
}

// pieces splits at <br>.
func pieces(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := strings.Index(string(data), "<br>"); i >= 0 {
		return i + 4, data[:i], nil
	}
	return 0, nil, nil
}
