// Command broker is one of Kafka as the tests need it, until it is killed: kfake, which keeps
// what it has acknowledged on its disk.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An advertised listener shows another address.
type advertised struct {
	net.Listener
	addr net.Addr
}

// Addr is what clients are told.
func (a advertised) Addr() net.Addr { return a.addr }

// topics is the right to read all of them.
var topics = kfake.ACL{
	Resource: kmsg.ACLResourceTypeTopic, Name: "*", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead, Allow: true,
}

func main() {
	dir := flag.String("dir", "", "directory for what it keeps")
	port := flag.Int("port", 0, "port of 127.0.0.1")
	advertise := flag.String("advertise", "", "address by which clients shall connect, as HOST:PORT; if it is another one")
	cert := flag.String("cert", "", "file with the certificate for TLS")
	key := flag.String("key", "", "file with its key")
	password := flag.String("password", "", "of the users plain, sha256, sha512; reader, who has no right to groups; nobody, who has none at all")
	flag.Parse()
	options := []kfake.Opt{
		kfake.Ports(*port), kfake.DataDir(*dir), kfake.SyncWrites(), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "100000000"}), kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
	}
	if *advertise != "" {
		options = append(options, kfake.ListenFn(func(network, addr string) (net.Listener, error) {
			ln, err := net.Listen(network, addr)
			if err != nil {
				return nil, err
			}
			shown, err := net.ResolveTCPAddr(network, *advertise)
			return advertised{ln, shown}, err
		}))
	}
	if *password != "" {
		options = append(options, kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "nobody", *password), kfake.User("PLAIN", "reader", *password, topics),
			kfake.Superuser("PLAIN", "plain", *password), kfake.Superuser("SCRAM-SHA-256", "sha256", *password), kfake.Superuser("SCRAM-SHA-512", "sha512", *password))
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.ListenAddrs())
	select {}
}
