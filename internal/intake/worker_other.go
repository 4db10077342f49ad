//go:build !linux

package intake

import "sync/atomic"

// Supported says whether connections can be adopted on this system.
const Supported = false

// New returns a server that must not be used: net/http serves everything here.
func New(Handler, Options) *Server { return &Server{} }

// A worker does not exist here.
type worker struct{ count atomic.Int64 }

func (w *worker) adopt(Conn) {}
func (w *worker) close()     {}
