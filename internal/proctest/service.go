package proctest

import (
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// A Service is a program that a test kills and starts again, such as a broker. What is
// printed, by one process or the next, is all in Out and Err. Its methods are not for
// several goroutines at once.
type Service struct {
	*Process // the newest

	t        testing.TB
	launch   Launch
	patience time.Duration
	ready    func() error
}

// Serve starts the program and waits until ready returns nil. It is killed when the test
// ends; if the test has failed then, what it has printed is logged.
func (l Launch) Serve(t testing.TB, patience time.Duration, ready func() error) *Service {
	t.Helper()
	l.Out, l.Err = new(Transcript), new(Transcript)
	s := &Service{t: t, launch: l, patience: patience, ready: ready}
	t.Cleanup(func() {
		if s.Process != nil {
			s.cleanup(t)
		}
	})
	s.Restart()
	return s
}

// Restart kills the program if it runs, starts it again, and waits until it is ready.
func (s *Service) Restart() {
	s.t.Helper()
	if s.Process != nil {
		s.Kill()
	}
	var err error
	if s.Process, err = s.launch.Spawn(); err != nil {
		s.t.Fatal(err)
	}
	s.Await(s.t, s.patience, s.ready)
}

// Pause stops the process until Resume: its connections stay open and are silent.
func (s *Service) Pause() { s.t.Helper(); s.signal("STOP") }

// Resume lets it go on.
func (s *Service) Resume() { s.t.Helper(); s.signal("CONT") }

// signal uses a program: not every system that this is compiled for has the signals.
func (s *Service) signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-"+name, strconv.Itoa(s.Pid())).CombinedOutput(); err != nil {
		s.t.Fatalf("kill -%s: %v, %s", name, err, out)
	}
}
