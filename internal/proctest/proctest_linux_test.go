package proctest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

func TestChildrenEndWithTheirParent(t *testing.T) {
	p := proctest.Launch{Args: []string{"sh", "-c", "sleep 60 & echo $!; wait"}, Children: true}.Start(t)
	var child int
	p.Await(t, patience, func() error {
		_, err := fmt.Sscan(p.Out.String(), &child)
		return err
	})
	p.Kill()
	proctest.Await(t, patience, "the child", func() error {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if syscall.Kill(child, 0) == nil && !strings.Contains(string(stat), ") Z ") {
			return errors.New("it runs")
		}
		return nil
	})
}

func TestMemoryIsThatOfTheProcess(t *testing.T) {
	p := play(t, "wait")
	m, err := p.Memory()
	if err != nil || m.Own <= 0 || m.RSS < m.Own || m.Peak < m.RSS {
		t.Errorf("%v, %v", m, err)
	}
	p.Kill()
	if m, err := p.Memory(); err == nil {
		t.Errorf("it has ended, and holds %v", m)
	}
}

func TestServiceIsPausedKilledAndStartedAgain(t *testing.T) {
	addr := proctest.FreeAddr()
	dial := func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	s := proctest.Launch{Args: []string{os.Args[0], addr}, Env: []string{"TEST_PART=listen"}}.Serve(t, patience, dial)
	s.Pause()
	s.Await(t, patience, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
		if err == nil && !strings.Contains(string(stat), ") T ") {
			err = errors.New("it is not paused")
		}
		return err
	})
	s.Resume()
	s.Kill()
	if dial() == nil {
		t.Error("killed, it listens")
	}
	s.Restart()
	first := s.Pid()
	s.Restart()
	if s.Pid() == first || dial() != nil {
		t.Error("it was not started again")
	}
	s.Await(t, patience, func() error {
		if n := len(s.Out.Lines()); n != 3 {
			return fmt.Errorf("%d lines, want 3", n)
		}
		return nil
	})
}
