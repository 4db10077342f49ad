package loop

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUnreadRequestBytesDoNotCostTheClientTheEnd closes over bytes of the client
// that nobody has read, while much of the stream is still in the kernel's buffers.
// The kernel would drop that and answer with a reset.
func TestUnreadRequestBytesDoNotCostTheClientTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Detach(server, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(make([]byte, 6000)); err != nil {
		t.Fatal(err)
	}
	until(t, "the client's bytes are there", func() bool {
		n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err == nil && n == 6000
	})
	sent := 0
	for {
		n, err := Write(fd, make([]byte, 64<<10))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		sent += n
	}
	closeFD(fd, true)
	if got, err := io.Copy(io.Discard, client); err != nil || got != int64(sent) {
		t.Errorf("read %d bytes, %v; want %d and a clean end", got, err, sent)
	}
}
