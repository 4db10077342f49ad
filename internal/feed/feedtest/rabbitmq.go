package feedtest

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/proctest"
)

// rabbitmq is not the program in /usr/sbin, which wants to be root or rabbitmq.
const rabbitmq = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// A RabbitMQ is a broker with a directory, ports and a node name of its own. It takes some
// seconds to start, so the tests of a package share one.
type RabbitMQ struct {
	Dir       string // has cert.pem
	Port, TLS int    // of 127.0.0.1

	env        []string
	node, epmd *proctest.Process
}

// OpenRabbitMQ starts a broker, and the name server that it needs. Whoever calls it closes
// it.
func OpenRabbitMQ(dir string) (*RabbitMQ, error) {
	b, epmd := &RabbitMQ{Dir: dir, Port: proctest.FreePort(), TLS: proctest.FreePort()}, proctest.FreePort()
	if err := b.write(); err != nil {
		return nil, err
	}
	b.env = []string{
		"HOME=" + dir, "RUNNING_UNDER_SYSTEMD=true", // without the shell in between
		"RABBITMQ_NODENAME=" + fmt.Sprintf("weir%d@localhost", os.Getpid()), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprint("RABBITMQ_NODE_PORT=", b.Port), fmt.Sprint("RABBITMQ_DIST_PORT=", proctest.FreePort()),
		fmt.Sprint("ERL_EPMD_PORT=", epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE=" + b.path("data"), "RABBITMQ_LOG_BASE=" + b.path("log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + b.path("rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + b.path("plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + b.path("none"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none", // do not spin
	}
	var err error
	if b.epmd, err = (proctest.Launch{Args: []string{"epmd", "-address", "127.0.0.1", "-port", fmt.Sprint(epmd)}}).Spawn(); err != nil {
		return nil, err
	}
	if err = b.Start(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// write writes the files that the broker reads.
func (b *RabbitMQ) write() error {
	if err := certtest.SelfSigned("127.0.0.1").Write(b.Dir); err != nil {
		return err
	}
	settings := fmt.Sprintf("listeners.ssl.default = 127.0.0.1:%d\nssl_options.certfile = %s\nssl_options.keyfile = %s\n",
		b.TLS, b.path("cert.pem"), b.path("key.pem"))
	if err := os.WriteFile(b.path("rabbitmq.conf"), []byte(settings), 0o600); err != nil {
		return err
	}
	return os.WriteFile(b.path("plugins"), []byte("[].\n"), 0o600)
}

// Start starts the broker, which must not run.
func (b *RabbitMQ) Start() (err error) {
	if b.node, err = (proctest.Launch{Args: []string{rabbitmq}, Env: b.env}).Spawn(); err != nil {
		return err
	}
	return b.node.Until(Patience, func() error {
		conn, err := amqp091.Dial(b.URL())
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// Kill ends the broker without warning.
func (b *RabbitMQ) Kill() { b.node.Kill() }

// Close kills the broker and its name server.
func (b *RabbitMQ) Close() {
	for _, p := range []*proctest.Process{b.node, b.epmd} {
		if p != nil {
			p.Kill()
		}
	}
}

func (b *RabbitMQ) path(name string) string { return filepath.Join(b.Dir, name) }

// Addr is where it listens.
func (b *RabbitMQ) Addr() string { return fmt.Sprint("127.0.0.1:", b.Port) }

// URL is the same with a user who may do all.
func (b *RabbitMQ) URL() string { return "amqp://guest:guest@" + b.Addr() + "/" }
