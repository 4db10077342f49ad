package proctest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are below those that systems give to outgoing connections: while nobody listens
// on such a port, a client that got it could connect to itself.
const (
	firstPort = 12_000
	blockSize = 500
	blocks    = 40
)

// ports are those of this process. It holds a block as long as it lives, by listening on
// the first port of it, so tests of several packages never get the same.
var ports struct {
	sync.Mutex
	block net.Listener // guarded by Mutex; nil: none yet
	first int          // guarded by Mutex: the block's port
	last  int          // guarded by Mutex: what was given last, 0 to blockSize-1
}

// FreePort returns a port of 127.0.0.1 that nobody listens on. Ports are handed out one
// after the other, so that one a server has left stays free for the server that takes its
// place. It panics when all are taken.
func FreePort() int {
	ports.Lock()
	defer ports.Unlock()
	if ports.block == nil {
		ports.block, ports.first = hold()
	}
	for range blockSize {
		ports.last = ports.last%(blockSize-1) + 1
		// Listening to find out would hold the port for a while, in a program that
		// another test starts at this moment.
		if port := ports.first + ports.last; Listening(port) != nil {
			return port
		}
	}
	panic(fmt.Sprintf("somebody listens on each of the ports %d to %d", ports.first, ports.first+blockSize-1))
}

// FreeAddr returns the same as HOST:PORT.
func FreeAddr() string { return address(FreePort()) }

// hold finds a block that no process holds.
func hold() (net.Listener, int) {
	for _, block := range rand.Perm(blocks) {
		first := firstPort + block*blockSize
		if ln, err := net.Listen("tcp", address(first)); err == nil {
			return ln, first
		}
	}
	panic(fmt.Sprintf("somebody listens on the first port of each of %d blocks", blocks))
}

// Listening is an error unless somebody listens on a port of 127.0.0.1.
func Listening(port int) error {
	conn, err := net.Dial("tcp", address(port))
	if err == nil {
		conn.Close()
	}
	return err
}

func address(port int) string { return fmt.Sprint("127.0.0.1:", port) }
