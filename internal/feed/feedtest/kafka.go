package feedtest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// A Kafka is the broker of internal/feed/kafka/testdata, with a directory and a port of its
// own. It keeps what it has acknowledged.
type Kafka struct {
	Port int // of 127.0.0.1

	line    []string // the command
	process *proctest.Process
}

// BuildKafka builds the broker into a file, with what tools/go.mod pins.
func BuildKafka(file string) error {
	return proctest.Build(file, "-modfile=tools/go.mod", "./internal/feed/kafka/testdata/broker")
}

// OpenKafka starts the program that BuildKafka has built, on a port, and waits until it
// listens. What it keeps is in dir. Arguments are its flags. Whoever calls it kills it.
func OpenKafka(program, dir string, port int, args ...string) (*Kafka, error) {
	k := &Kafka{Port: port, line: append([]string{program, "-dir", filepath.Join(dir, "data"), "-port", fmt.Sprint(port)}, args...)}
	if err := k.Start(); err != nil {
		if k.process != nil {
			k.Kill()
		}
		return nil, err
	}
	return k, nil
}

// LaunchKafka is like OpenKafka, with a directory of its own. The broker is killed when the
// test ends.
func LaunchKafka(t *testing.T, program string, port int, args ...string) *Kafka {
	t.Helper()
	k, err := OpenKafka(program, t.TempDir(), port, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k.Kill(); t.Failed() {
			t.Logf("the broker printed\n%s", k.process.Said())
		}
	})
	return k
}

// Start starts the broker again, which must not run.
func (k *Kafka) Start() (err error) {
	if k.process, err = (proctest.Launch{Args: k.line}).Spawn(); err != nil {
		return err
	}
	return k.process.Until(Patience, func() error { return proctest.Listening(k.Port) })
}

// Kill ends the broker without warning.
func (k *Kafka) Kill() { k.process.Kill() }

// Addr is where it listens.
func (k *Kafka) Addr() string { return fmt.Sprint("127.0.0.1:", k.Port) }
