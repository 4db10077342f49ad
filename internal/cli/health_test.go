package cli_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealthIsWhatReadyzSays also for a server that wants tokens: none is sent.
func TestHealthIsWhatReadyzSays(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		code   int
		said   string
	}{
		{200, "ok\n", 0, " is ready\n"},
		{503, "draining\n", 1, " is not ready: 503 Service Unavailable: draining\n"},
		{503, "\x1b[2J" + strings.Repeat("x", 10_000), 1, ` is not ready: 503 Service Unavailable: \x1b[2Jxxx`},
		{401, "", 1, " is not ready: 401 Unauthorized: \n"},
		{308, "", 1, " is not ready: 308 Permanent Redirect: \n"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "" {
				t.Errorf("%s %s with %q", r.Method, r.URL, r.Header)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		t.Cleanup(s.Close)
		for _, how := range []call{
			{args: []string{"health", "--server", s.URL}},
			{args: []string{"health"}, environ: []string{"WEIR_SERVER=" + s.URL + "/", "WEIR_TOKEN=secret"}},
		} {
			got := how.run()
			said := got.out + got.err
			if got.code != c.code || !strings.Contains(said, c.said) || strings.Count(said, "\n") != 1 || len(said) > 400 {
				t.Errorf("%q at status %d ends with %d and says %q, want %d and %q", how.args, c.status, got.code, said, c.code, c.said)
			}
			if (got.out != "") != (c.code == 0) {
				t.Errorf("standard output is %q", got.out)
			}
		}
	}
}

func TestHealthOfNobodyIsOne(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	got := call{args: []string{"health", "--server", ln.Addr().String()}}.run()
	if want := "weir: health: no answer from " + ln.Addr().String() + ": connection refused\n"; got.code != 1 || got.err != want || got.out != "" {
		t.Errorf("health gives %+v, want 1 and %q", got, want)
	}
	if got := (call{args: []string{"health", "--server", "ftp://x"}}).run(); got.code != 2 {
		t.Errorf("health of no address gives %+v, want 2", got)
	}
}
