package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/machine"
	"github.com/weirstream/weir/stream"
)

// A guard is what finds out who sends a request, as the settings say. It is made
// anew when they change.
type guard struct {
	verifier *access.Verifier // nil: anybody may do anything
	remote   *access.Remote   // nil: no URL of keys
	forward  *access.Forward  // nil: no application is asked
	closed   bool             // for good: the server stops
}

// openGuard reads all keys. tickets and revoked outlive it.
func openGuard(s *config.Settings, tickets *access.Tickets, revoked *access.Revoked, secure func(*http.Request) bool, log *slog.Logger) (*guard, error) {
	g, a := new(guard), &s.Access
	if !a.On() {
		return g, nil
	}
	o := access.Options{
		Issuer: a.Issuer, Audience: a.Audience, Leeway: orNone(a.Leeway),
		Tickets: tickets, Revoked: revoked, Cookie: a.Cookie, Anonymous: anonymous(a),
	}
	if s.CORS.Credentials {
		o.Origins = s.CORS.Origins
	}
	var err error
	if o.Keys, err = tokenKeys(a); err != nil {
		return nil, err
	}
	if o.APIKeys, err = apiKeys(a); err != nil {
		return nil, err
	}
	if err := g.connect(a, &o, secure, log); err != nil {
		return nil, err
	}
	if g.verifier, err = access.New(o); err != nil {
		g.close()
		return nil, fmt.Errorf("access: %w", err)
	}
	return g, nil
}

// connect starts what is asked over the network.
func (g *guard) connect(a *config.Access, o *access.Options, secure func(*http.Request) bool, log *slog.Logger) (err error) {
	if a.JWKS != "" {
		report := reporter(log, "access.jwks-url", "keys of tokens")
		if g.remote, err = access.OpenRemote(access.RemoteOptions{URL: a.JWKS, Report: report}); err != nil {
			return fmt.Errorf("access.jwks-url: %w", err)
		}
		o.Remote = g.remote
	}
	if a.Forward.URL == "" {
		return nil
	}
	g.forward, err = access.OpenForward(access.ForwardOptions{
		URL: a.Forward.URL, Timeout: a.Forward.Timeout, Cache: orNone(a.Forward.Cache),
		Client: func(r *http.Request) access.Client { return clientOf(r, secure(r)) },
		Report: reporter(log, "access.forward-url", "the application that decides about access"),
	})
	if err != nil {
		g.close()
		return fmt.Errorf("access.forward-url: %w", err)
	}
	o.Forward = g.forward
	return nil
}

func clientOf(r *http.Request, secure bool) access.Client {
	c := access.Client{Proto: "http"}
	if secure {
		c.Proto = "https"
	}
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Address = addr.Addr().String()
	}
	return c
}

func (g *guard) close() {
	g.closed = true
	if g.remote != nil {
		g.remote.Close()
	}
	if g.forward != nil {
		g.forward.Close()
	}
}

// orNone maps a duration to package access, where 0 means the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// reporter logs what goes wrong with what is asked over the network, and once when it
// works again. It is not called twice at once.
func reporter(log *slog.Logger, setting, what string) func(error) {
	failing := false
	return func(err error) {
		switch {
		case err != nil:
			log.Warn("cannot reach "+what, "setting", setting, "error", err)
		case failing:
			log.Info("can reach "+what+" again", "setting", setting)
		}
		failing = err != nil
	}
}

// anonymous returns the grant of those who do not say who they are, or nil.
func anonymous(a *config.Access) *access.Grant {
	if len(a.Publish)+len(a.Subscribe) == 0 {
		return nil
	}
	return &access.Grant{Publish: a.Publish, Subscribe: a.Subscribe}
}

func tokenKeys(a *config.Access) (keys []access.Key, err error) {
	secret := []byte(a.Secret)
	if a.SecretFile != "" {
		if secret, err = access.ReadSecret(a.SecretFile); err != nil {
			return nil, fmt.Errorf("access.secret-file: %w", err)
		}
	}
	if len(secret) > 0 || a.SecretFile != "" {
		k, err := access.NewSecret("", secret)
		if err != nil {
			return nil, fmt.Errorf("access.secret-file %s: %w", a.SecretFile, err)
		}
		keys = append(keys, k)
	}
	if a.PublicKeyFile == "" {
		return keys, nil
	}
	public, err := access.ReadPublicKeys(a.PublicKeyFile)
	if err != nil {
		return nil, fmt.Errorf("access.public-key-file: %w", err)
	}
	return append(keys, public...), nil
}

// everyTopic is what a key in a file of keys may publish to, unless its line says
// otherwise.
var everyTopic = access.Grant{Publish: []string{"**"}}

func apiKeys(a *config.Access) (keys []access.APIKey, err error) {
	if a.APIKeysFile != "" {
		if keys, err = access.ReadAPIKeys(a.APIKeysFile, everyTopic); err != nil {
			return nil, fmt.Errorf("access.api-keys-file: %w", err)
		}
	}
	for _, k := range a.APIKeys {
		key, err := access.ParseAPIKey(k.Name+":sha256:"+k.Hash, access.Grant{Publish: k.Publish, Subscribe: k.Subscribe})
		if err != nil {
			return nil, fmt.Errorf("access.api-keys: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// fileReserve is how many of the files that may be open are not for streams: the log,
// listeners, requests that are being read.
func fileReserve(most uint64) uint64 { return 64 + most/20 }

// limits maps settings to package gate.
func limits(l *config.Limits) gate.Limits {
	streams := l.Streams
	if most := openFiles(); streams == 0 && most > 0 {
		streams = int(max(most-min(most, fileReserve(most)), 16))
	}
	return gate.Limits{
		Streams: streams, StreamsPerIP: l.StreamsPerIP, StreamsPerUser: l.StreamsPerUser, StreamsPerToken: l.StreamsPerToken,
		PublishPerIP: l.PublishPerIP, PublishPerUser: l.PublishPerUser, Replay: l.ReplayPerClient, IPv6Prefix: l.IPv6Prefix,
	}
}

// memoryLimit returns the guard of the process's memory.
func memoryLimit(l *config.Limits) *limit.Memory {
	most := l.Memory
	if most == 0 {
		most = int64(machine.MemoryLimit() / 10 * 8)
	}
	return limit.NewMemory(most, func() uint64 { return machine.ReadProcess().RSS })
}

const sampleEvery = time.Second

// watchUse looks at the memory and at who was revoked, until ctx ends.
func (s *Server) watchUse(ctx context.Context) {
	sample := time.NewTicker(sampleEvery)
	defer sample.Stop()
	var before, last int64 // revocations at the last but one and at the last sample
	news := s.revocations()
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			s.endRevoked()
			news = nil // looking at all streams takes time: of many revocations the others wait
		case <-sample.C:
			s.sampleMemory()
			now := s.gate.Revocations()
			if now != before { // twice, for streams that open just now
				s.endRevoked()
			}
			before, last, news = last, now, s.revocations()
		}
	}
}

// endRevoked ends the streams of those who were revoked, also of those who were about
// to open one when the others were ended.
func (s *Server) endRevoked() {
	s.engine.Each(func(c *stream.Conn) {
		if l, ok := c.Guest().(*gate.Lease); ok && l.Over() {
			revoke(c)
		}
	})
}

// revoke ends a stream and says why.
func revoke(c *stream.Conn) {
	_ = c.Notify(stream.RevokedNotice()) // there may be no room for it
	_ = c.EndWith(stream.Revoked)        // it may have ended
}

func (s *Server) sampleMemory() {
	before := s.memory.Over()
	if s.memory.Sample(); s.memory.Over() {
		debug.FreeOSMemory() // what is garbage, or free and not returned, is no reason to refuse
		s.memory.Sample()
	}
	switch over := s.memory.Over(); {
	case over && !before:
		s.log.Warn("memory is short: new streams and messages are refused", "limit", s.memory.Limit())
	case before && !over:
		s.log.Info("memory is no longer short")
	}
}

// isSecure reports whether a request came by TLS, to this server or to a proxy that
// it trusts.
func (s *Server) isSecure(r *http.Request) bool { return r.TLS != nil || s.trusted.Secure(r) }

// withClient replaces the address of a proxy by that of its client.
func (s *Server) withClient(next http.Handler) http.Handler {
	if len(s.settings.Proxy.Trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		if addr, ok := s.trusted.Client(r, s.settings.Proxy.Header); ok && addr != peer.Addr().Unmap().WithZone("") {
			r.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
		}
		next.ServeHTTP(w, r)
	})
}
