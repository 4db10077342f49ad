package feeds_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/proctest"
)

// root is that of the repository.
var root = filepath.Join("..", "..")

// scratch is a directory for what the tests of the package share.
var scratch string

// weirPath is the program under test, kafkaPath the broker of the tests.
var weirPath, kafkaPath string

func TestMain(m *testing.M) {
	flag.Parse()
	proctest.Parallel(20) // they mostly wait for programs that sleep
	os.Exit(run(m))
}

// run runs the tests, with the program and the broker of Kafka.
func run(m *testing.M) int {
	for _, e := range os.Environ() { // settings of whoever runs the tests
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "WEIR_") {
			os.Unsetenv(name)
		}
	}
	return proctest.Run(func(weir, dir string) int {
		weirPath, scratch, kafkaPath = weir, dir, filepath.Join(dir, "kafka.exe")
		if err := feedtest.BuildKafka(kafkaPath); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if broker != nil {
				broker.Close()
			}
		}()
		return m.Run()
	})
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
