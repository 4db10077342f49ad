package feeds_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/proctest"
	"github.com/weirstream/weir/internal/redisserver"
)

// A place is where a server of a test is.
type place struct {
	replace []string // pairs: what files say of the address, and what it is here
	env     []string // for the programs that find the server by it
}

// servers start what feeds read from, by the scheme of its URL. The server ends with the
// test.
var servers = map[string]func(t *testing.T) place{
	"amqp": startRabbitMQ, "redis": startRedis, "mqtt": startMosquitto, "nats": startNATS, "kafka": startKafka, "postgres": startPostgres,
}

// startServer starts the server that settings name, if they name one.
func startServer(t *testing.T, settings string) place {
	t.Helper()
	for scheme, start := range servers {
		if strings.Contains(settings, scheme+"://") {
			return start(t)
		}
	}
	return place{}
}

func startRabbitMQ(t *testing.T) place {
	b, err := rabbitMQ()
	if err != nil {
		t.Fatalf("RabbitMQ, which \"go run ./test\" in the repository's root installs: %v", err)
	}
	return place{replace: []string{"guest@127.0.0.1", "guest@" + b.Addr(), "'127.0.0.1', 5672", fmt.Sprint("'127.0.0.1', ", b.Port)}}
}

func startRedis(t *testing.T) place {
	_, port, _ := strings.Cut(redisserver.Start(t, redisserver.Options{}).Addr(), ":")
	return place{replace: []string{
		"redis://127.0.0.1", "redis://127.0.0.1:" + port, "redis-cli ", "redis-cli -p " + port + " ",
		"connect('127.0.0.1')", "connect('127.0.0.1', " + port + ")",
	}}
}

func startMosquitto(t *testing.T) place {
	port := proctest.FreePort()
	feedtest.LaunchMosquitto(t, t.TempDir(), port)
	return place{replace: []string{"mqtt://127.0.0.1", fmt.Sprint("mqtt://127.0.0.1:", port), "-h 127.0.0.1", fmt.Sprint("-h 127.0.0.1 -p ", port)}}
}

func startNATS(t *testing.T) place {
	addr := natsserver.Start(t, natsserver.Options{}).Addr()
	return place{replace: []string{
		"127.0.0.1:4222", addr, "nats://127.0.0.1", "nats://" + addr, "/dev/tcp/127.0.0.1/4222", "/dev/tcp/" + strings.Replace(addr, ":", "/", 1),
	}}
}

// startKafka starts the broker of the tests of internal/feed/kafka, with the topic of
// the examples.
func startKafka(t *testing.T) place {
	addr := feedtest.LaunchKafka(t, kafkaPath, proctest.FreePort()).Addr()
	create := exec.Command(proctest.Need(t, "kcat"), "-L", "-b", addr, "-t", "orders", "-X", "allow.auto.create.topics=true")
	if out, err := create.CombinedOutput(); err != nil || !strings.Contains(string(out), `topic "orders"`) {
		t.Fatalf("%v: %v\n%s", create, err, out)
	}
	return place{replace: []string{"127.0.0.1:9092", addr}}
}

// startPostgres starts a server with the roles of the examples. Clients find it by their
// environment, and without the name of a user they are the superuser.
func startPostgres(t *testing.T) place {
	s, err := feedtest.OpenPostgres()
	if err != nil {
		t.Fatalf("PostgreSQL, which \"go run ./test\" in the repository's root installs: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return place{env: []string{"PGHOST=127.0.0.1", fmt.Sprint("PGPORT=", s.Port), "PGUSER=postgres"}}
}
