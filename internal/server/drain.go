package server

import (
	"context"
	"sync"
	"time"
)

// drain stops the server in order: no new connections, no new messages; what is
// under way is finished; readers get what was published and are told to come
// back, spread over the drain window; then everything is closed.
func (s *Server) drain() {
	if s.draining != nil {
		s.draining()
	}
	s.log.Info("draining", "streams", s.engine.Len(), "window", s.settings.Drain.Window)
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.Drain.Timeout)
	defer cancel()
	s.closeListeners()
	s.native.Drain()
	if s.durable != nil {
		s.durable.Drain()
	}
	s.stopFeeds()
	s.traffic.waitPublishing(ctx)
	s.native.EndPolls()
	if s.durable != nil {
		s.durable.EndReads()
	}
	s.endStreams(ctx)
	s.shutdownHTTP(ctx)
	s.stopPresence()
	s.stopWebhooks()
	s.visits.wait()
	if s.durable != nil {
		s.durable.Close()
	}
	s.closeAccess()
	if err := s.hub.Close(); err != nil {
		s.log.Error("close the log", "error", err)
	}
	s.tracer.Close(context.Background()) // within 2 s
}

// endStreams ends the streams and waits until they have ended. Meanwhile requests
// on connections that are open may begin new ones, which are ended as well.
func (s *Server) endStreams(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.engine.End(s.settings.Drain.Window)
		if s.engine.Len() == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.log.Warn("streams did not end in time", "streams", s.engine.Len())
			s.engine.Close()
			return
		}
	}
}

// shutdownHTTP waits for ordinary requests, and cuts those that do not end.
func (s *Server) shutdownHTTP(ctx context.Context) {
	var wg sync.WaitGroup
	for _, b := range s.listeners {
		wg.Go(func() {
			if b.http.Shutdown(ctx) != nil {
				b.http.Close()
			}
		})
	}
	wg.Wait()
}

// closeAccess ends what is asked over the network.
func (s *Server) closeAccess() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.guard.close()
	if s.certs != nil {
		s.certs.Close()
	}
}
