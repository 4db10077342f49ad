package server

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/internal/proxy"
)

// listen binds one address. The file of a socket that nobody listens on any more
// is replaced; its permissions are mode, or what the umask leaves if that is 0. The
// error does not repeat the address.
func listen(l config.Listener, mode fs.FileMode) (net.Listener, error) {
	ln, err := net.Listen(l.Network, l.Address)
	if l.Network == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(l.Address); err == nil {
			ln, err = net.Listen(l.Network, l.Address)
		}
	}
	if err == nil && l.Network == "unix" && mode != 0 {
		if err = os.Chmod(l.Address, mode); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return ln, cause(err)
}

// removeStale removes a socket file, unless somebody listens on it, or it is
// another kind of file.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the file exists and is no socket")
	}
	nc, err := net.Dial("unix", path)
	switch {
	case err == nil:
		nc.Close()
		return syscall.EADDRINUSE
	case !errors.Is(err, syscall.ECONNREFUSED): // perhaps another user's, and in use
		return err
	}
	return os.Remove(path)
}

// cause takes off what says again which call failed for which address.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

// listen binds an address and puts on it what its connections go through.
func (s *Server) listen(l config.Listener) (net.Listener, error) {
	ln, err := listen(l, s.settings.SocketMode)
	if err != nil {
		return nil, err
	}
	if s.settings.Proxy.Protocol {
		ln = proxy.NewListener(ln, proxy.ListenerOptions{Trusted: s.trusted, Report: func(peer net.Addr, err error) {
			s.log.Debug("connection without a PROXY protocol header closed", "peer", peer, "error", err)
		}})
	}
	return &bounded{Listener: ln, s: s, tls: l.TLS}, nil
}

func (s *Server) httpServer(l config.Listener) *http.Server {
	srv := &http.Server{
		Handler:           s.withClient(s.traffic.count(s.visits.record(s.tracer.Handler(s.route(l))))),
		ConnContext:       native.ConnContext,
		ConnState:         s.sockets.track,
		ReadHeaderTimeout: s.settings.HTTP.HeaderTimeout,
		IdleTimeout:       s.settings.HTTP.IdleTimeout,
		MaxHeaderBytes:    int(s.settings.HTTP.MaxHeader),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: s.settings.HTTP.MaxStreams, WriteByteTimeout: s.settings.Stream.UserTimeout},
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	if l.TLS {
		srv.Protocols.SetHTTP2(true)
		srv.TLSConfig = s.certs.TLSConfig()
	} else {
		srv.Protocols.SetUnencryptedHTTP2(s.settings.HTTP.H2C)
	}
	return srv
}
