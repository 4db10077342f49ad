package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/server"
)

// fillUp opens connections until the server has no room for more. The limit of open
// files is 60, so that there is room for 30.
func fillUp(t *testing.T, r *running) []*reader {
	t.Helper()
	var idle []*reader
	for range 30 {
		c := r.connect(t)
		c.send(t, "GET", "/healthz", "")
		if _, err := io.Copy(io.Discard, c.body); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	return idle
}

// TestConnectionsBeyondTheFilesAreRefused and told so. When others have gone there is
// room again.
func TestConnectionsBeyondTheFilesAreRefused(t *testing.T) {
	defer server.OpenFiles(60)()
	r := start(t, defaults(t))
	idle := fillUp(t, r)
	for range 20 {
		c := r.connect(t)
		resp, err := http.ReadResponse(c.in, nil) // to which nothing was sent
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !resp.Close {
			t.Errorf("a refusal: %v %v", resp.Header, err)
		}
		refused(t, "a connection", resp, string(body), 503, "overloaded")
		if _, err := c.in.ReadByte(); err != io.EOF {
			t.Errorf("the connection goes on: %v", err)
		}
		c.Close()
	}
	first := idle[0]
	if resp := first.send(t, "GET", "/metrics", ""); resp.StatusCode != 200 {
		t.Fatalf("a connection that was there: %s", resp.Status)
	}
	page, _ := io.ReadAll(first.body)
	if text := string(page); !strings.Contains(text, "\nweir_sockets 30\n") || !strings.Contains(text, `weir_limited_total{limit="sockets",of="everyone"} 20`) {
		t.Error("the metrics have other numbers of connections")
	}
	idle[1].Close()
	eventually(t, "there is room again", func() bool {
		c := r.connect(t)
		defer c.Close()
		return c.send(t, "GET", "/healthz", "").StatusCode == 200
	})
}

// TestStreamsAreConnectionsToo counts those that net/http no longer has.
func TestStreamsAreConnectionsToo(t *testing.T) {
	defer server.OpenFiles(60)()
	s := defaults(t)
	s.Limits.Streams = 1000
	r := start(t, s)
	readers, resp, _ := r.hold(t, 40) // one that is just being taken from net/http is counted by nobody
	if len(readers) < 30 || len(readers) > 35 || resp == nil || resp.StatusCode != 503 {
		t.Fatalf("%d streams are open, and then %v", len(readers), resp)
	}
	for _, c := range readers {
		c.Close()
	}
	eventually(t, "there is room again", func() bool {
		c := r.connect(t)
		defer c.Close()
		return c.send(t, "GET", "/v1/topics/mine/a", "").StatusCode == 200
	})
}

// TestManyRefusalsAtOnce are bounded: who is not answered is closed, and nobody waits.
func TestManyRefusalsAtOnce(t *testing.T) {
	defer server.OpenFiles(60)()
	r := start(t, defaults(t))
	fillUp(t, r)
	var waiting []net.Conn
	for range 40 { // that read nothing and do not close
		waiting = append(waiting, r.connect(t).Conn)
	}
	ends := time.Now().Add(patience)
	told := 0
	for _, c := range waiting {
		_ = c.SetReadDeadline(ends)
		b, err := io.ReadAll(c)
		if len(b) > 0 {
			told++
		} else if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Fatal("a connection beyond the limit waits")
		}
	}
	if told < 16 {
		t.Errorf("%d of 40 were told why, want 16 or more", told)
	}
}

// TestRefusalsOfTLSAreNoText: what the client would take for a bad record is left out.
func TestRefusalsOfTLSAreNoText(t *testing.T) {
	defer server.OpenFiles(60)()
	s := defaults(t)
	s.Listen[0].TLS = true
	s.TLS.CertFile, s.TLS.KeyFile = certificate(t)
	r := start(t, s)
	addr := strings.TrimPrefix(r.url, "https://")
	for n := 0; ; n++ {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		err = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake()
		if err == nil && n < 30 {
			continue
		}
		if _, bad := err.(tls.RecordHeaderError); err == nil || bad || n < 30 {
			t.Errorf("connection %d: %v", n, err)
		}
		return
	}
}
