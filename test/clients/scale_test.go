package clients_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A rawReader is a reader on a connection of its own.
type rawReader struct {
	conn  net.Conn
	lines *bufio.Scanner
}

// openReader asks for a stream and reads its first bytes: from then on the server
// has the reader.
func openReader(addr, path string) (*rawReader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	if err != nil {
		return nil, err
	}
	r := &rawReader{conn: conn, lines: bufio.NewScanner(resp.Body)}
	r.lines.Buffer(make([]byte, 0, 1024), 4096)
	for r.lines.Scan() && r.lines.Text() != "" {
	}
	return r, r.lines.Err()
}

// messages reads the data of n messages.
func (r *rawReader) messages(n int) (got []string, err error) {
	for len(got) < n && r.lines.Scan() {
		if text, ok := strings.CutPrefix(r.lines.Text(), "data: "); ok {
			got = append(got, text)
		}
	}
	return got, r.lines.Err()
}

func TestFiveHundredReadersEachGetEverythingInOrder(t *testing.T) {
	t.Parallel()
	const readers, messages = 500, 200
	s := serve(t)
	all := make([]*rawReader, readers)
	for i := range all {
		var err error
		if all[i], err = openReader(s.addr, "/v1/topics/a"); err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
		defer all[i].conn.Close()
	}
	var wg sync.WaitGroup
	got, errs := make([][]string, readers), make([]error, readers)
	for i, r := range all {
		wg.Go(func() { got[i], errs[i] = r.messages(messages) })
	}
	for i := range messages {
		s.publish("a", fmt.Sprint(i+1), "")
	}
	wg.Wait()
	for i := range all {
		if errs[i] != nil {
			t.Fatalf("reader %d after %d messages: %v", i, len(got[i]), errs[i])
		}
		checkCount(t, fmt.Sprint("reader ", i), got[i], messages)
	}
}
