package feeds_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/internal/feed/feedtest"
)

// root is that of the repository.
var root = filepath.Join("..", "..")

// scratch is a directory for what the tests of the package share.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the programs, runs the tests, and removes what they leave behind.
func run(m *testing.M) int {
	// The tests mostly wait for programs that sleep, so more of them run at once than
	// there are processors.
	if err := flag.Set("test.parallel", "20"); err != nil {
		panic(err)
	}
	for _, e := range os.Environ() { // settings of whoever runs the tests
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WEIR_") {
			os.Unsetenv(name)
		}
	}
	var err error
	if scratch, err = os.MkdirTemp("", "weir-feeds"); err == nil {
		defer os.RemoveAll(scratch)
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "feeds:", err)
		return 1
	}
	defer func() {
		if broker != nil {
			broker.Close()
		}
	}()
	return m.Run()
}

// Programs; the ending matters on Windows only.
func weirPath() string  { return filepath.Join(scratch, "weir.exe") }
func kafkaPath() string { return filepath.Join(scratch, "kafka.exe") }

func build() error {
	for _, args := range [][]string{
		{"-o", weirPath(), "./cmd/weir"},
		{"-modfile=" + filepath.Join("tools", "go.mod"), "-o", kafkaPath(), "./internal/feed/kafka/testdata/broker"},
	} {
		cmd := exec.Command("go", append([]string{"build"}, args...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return nil
}

// broker is what rabbitMQ returns, for whoever ends it.
var broker *feedtest.RabbitMQ

// rabbitMQ is shared by the tests: it takes some seconds to start.
var rabbitMQ = sync.OnceValues(func() (*feedtest.RabbitMQ, error) {
	dir, err := os.MkdirTemp(scratch, "rabbitmq")
	if err == nil {
		broker, err = feedtest.OpenRabbitMQ(dir)
	}
	return broker, err
})
