package certs

import (
	"context"
	"errors"
	"time"
)

// Reload looks at all files now and reports what it finds. New handshakes get the new
// certificates, open connections go on with theirs. A pair that cannot be served, such
// as one that is half written, is named in the error, and what it held before goes on to
// be served. After a failure with the ACME server the next handshake may try again.
func (s *Store) Reload() error {
	if s.issuer != nil {
		s.issuer.forgive()
	}
	return s.look()
}

// Watch looks at the files every Options.Every, as [Store.Reload] does, and reports
// once a day what expires. It returns when ctx ends.
func (s *Store) Watch(ctx context.Context) {
	ticker := time.NewTicker(s.opts.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look() // reports its errors
		}
	}
}

// look looks at the files of all pairs.
func (s *Store) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.pairs {
		if p.err != "" || p.changed() {
			errs = append(errs, s.reload(p))
		}
	}
	s.table.Store(newTable(s.pairs))
	s.remind()
	return errors.Join(errs...)
}

func (s *Store) reload(p *pair) error {
	err := p.load()
	if err == nil {
		p.err = ""
		s.reportLoaded(p)
		return nil
	}
	if now := time.Now(); p.err != err.Error() || now.Sub(p.reported) >= day {
		p.err, p.reported = err.Error(), now
		s.report(p.event(Failed, err))
	}
	return err
}
