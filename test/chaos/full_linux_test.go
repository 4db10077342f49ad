package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A tightness is a way to let a server run out of room, and to give it some.
type tightness struct {
	name   string
	scarce uint64 // bytes of room that are too few
	// dir makes the directory, if it is special.
	dir func(t *testing.T) string
	// tighten limits the room to about so many bytes. It is called when the server
	// runs, and again when it has been started anew.
	tighten func(t *testing.T, s *server, bytes uint64)
}

const plenty = 64 << 20 // bytes of room that are enough

// sizeLimit limits the size of files that the server may write: EFBIG. The file of the
// log grows in steps of 16 MiB, so with less than that it is writing that fails, and
// with a little more it is growing.
func sizeLimit(scarce uint64) tightness {
	return tightness{
		name:   fmt.Sprintf("size of files, %d MiB", scarce>>20),
		scarce: scarce,
		dir:    func(t *testing.T) string { return t.TempDir() },
		tighten: func(t *testing.T, s *server, bytes uint64) {
			var l unix.Rlimit
			err := unix.Prlimit(s.Pid(), unix.RLIMIT_FSIZE, nil, &l)
			if err == nil {
				l.Cur = bytes
				err = unix.Prlimit(s.Pid(), unix.RLIMIT_FSIZE, &l, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	}
}

const smallDiskSize = 8 << 20 // bytes

// smallDisk is a file system in memory: ENOSPC.
var smallDisk = tightness{
	name:   "file system",
	scarce: smallDiskSize,
	dir: func(t *testing.T) string {
		dir := t.TempDir()
		if err := unix.Mount("weir-chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallDiskSize)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		return dir
	},
	tighten: func(t *testing.T, s *server, bytes uint64) {
		var st unix.Statfs_t
		if err := unix.Statfs(s.dir, &st); err != nil {
			t.Fatal(err)
		}
		used := (st.Blocks - st.Bfree) * uint64(st.Bsize)
		if err := unix.Mount("weir-chaos", s.dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", max(bytes, used))); err != nil {
			t.Fatal(err)
		}
	},
}

// tightnesses are those that this process may bring about.
func tightnesses(t *testing.T) []tightness {
	dir := t.TempDir()
	if err := unix.Mount("weir-chaos", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("no file system can be mounted (%v): the disk is full only as far as the size of files goes", err)
		return []tightness{sizeLimit(8 << 20), sizeLimit(20 << 20)}
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	return []tightness{sizeLimit(8 << 20), sizeLimit(20 << 20), smallDisk}
}

func TestFullDisk(t *testing.T) {
	for _, tight := range tightnesses(t) {
		t.Run(tight.name, func(t *testing.T) { fillDisk(t, tight) })
	}
}

// fillDisk is one straight story: the disk fills, readers go on, there is room again,
// and nothing was lost.
func fillDisk(t *testing.T, tight tightness) {
	s := newServerOn(t, tight.dir(t), append(slices.Clip(everything), "--stream.heartbeat", "1s")...)
	s.start()
	tight.tighten(t, s, tight.scarce)
	reader := newPulse(s)
	stop := background(t, reader.run)
	kept := s.fill(t, nil)
	full := time.Now()
	t.Logf("full after %d messages of 8 KiB", len(kept))
	for range 20 {
		s.refuse(t, "refused")
	}
	t.Logf("a refusal takes %v", (time.Since(full) / 20).Round(time.Microsecond))
	await(t, "a reader that was there", func() error { return missing(int(reader.count.Load()), len(kept)) })
	s.expect(t, kept)
	beats := reader.beats.Load()
	await(t, "heartbeats", func() error { return missing(int(reader.beats.Load()), int(beats)+2) })
	if reader.visits != 1 {
		t.Errorf("the reader had to connect %d times", reader.visits)
	}

	tight.tighten(t, s, plenty)
	kept = s.publishSoon(t, kept, "room again")
	for i := range 100 {
		kept = append(kept, fmt.Sprintf("room again %d", i))
		s.publish("a", kept[len(kept)-1])
	}
	s.expect(t, kept)

	// Full again; this time the server is killed, and started while the disk is full.
	tight.tighten(t, s, tight.scarce)
	kept = s.fill(t, kept)
	s.kill()
	s.start()
	tight.tighten(t, s, tight.scarce)
	s.expect(t, kept)
	kept = s.fill(t, kept) // some pages may be used again
	s.refuse(t, "refused")
	tight.tighten(t, s, plenty)
	kept = s.publishSoon(t, kept, "after the restart")
	s.stop()
	s.start()
	s.expect(t, kept)
	await(t, "the reader that was there", func() error { return missing(int(reader.count.Load()), len(kept)) })
	stop()
	if !slices.Equal(reader.got, kept) {
		t.Errorf("the reader got %d messages, %d were acknowledged, and they differ", len(reader.got), len(kept))
	}
}

// fill publishes until the disk is full. It returns kept and what was acknowledged.
func (s *server) fill(t *testing.T, kept []string) []string {
	t.Helper()
	for n := len(kept); ; n++ {
		data := fmt.Sprintf("fill %d %s", n, strings.Repeat("x", 8<<10))
		if !s.offer(t, data) {
			return kept
		}
		kept = append(kept, data)
	}
}

// publishSoon publishes a message when the server has noticed that there is room.
func (s *server) publishSoon(t *testing.T, kept []string, data string) []string {
	t.Helper()
	await(t, "room again", func() error {
		if !s.offer(t, data) {
			return errors.New("publishing is refused")
		}
		return nil
	})
	return append(kept, data)
}

// refuse publishes a message and wants to be told that the disk is full.
func (s *server) refuse(t *testing.T, data string) {
	t.Helper()
	if data += strings.Repeat(" and again", 2000); s.offer(t, data) {
		t.Errorf("%.20q is accepted on a full disk", data)
	}
}

// offer publishes a message. It reports false if it gets the proper refusal, and fails
// the test if it gets another.
func (s *server) offer(t *testing.T, data string) bool {
	t.Helper()
	resp, body, err := s.do(request(s.url, "a", []string{data}), "")
	if err != nil {
		t.Fatalf("publish on a full disk: %v", err)
	}
	if resp.StatusCode == http.StatusCreated {
		return true
	}
	var problem struct {
		Status       int
		Code, Detail string
	}
	err = json.Unmarshal(body, &problem)
	if err != nil || resp.StatusCode != http.StatusInsufficientStorage || resp.Header.Get("Content-Type") != "application/problem+json" ||
		problem.Status != resp.StatusCode || problem.Code != "full" || !strings.Contains(problem.Detail, "no space") {
		t.Fatalf("publish on a full disk gives status %d, %s, %q, want 507, full, no space", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	return false
}

// expect reads the whole topic a, without publishing, and checks what is there.
func (s *server) expect(t *testing.T, want []string) {
	t.Helper()
	p := newPulse(s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.visit(ctx, func() bool { return len(p.got) >= len(want) }); err != errEnough {
		t.Fatalf("read %d messages: %v after %d", len(want), err, len(p.got))
	}
	if !slices.Equal(p.got, want) {
		t.Fatalf("the log holds other messages than those that were acknowledged")
	}
	resp, err := s.http.Head(s.url + "/v1/topics/a")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := resp.Header.Get("Weir-Messages"); n != fmt.Sprint(len(want)) {
		t.Errorf("the topic has %s messages, want %d", n, len(want))
	}
}
