package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/config"
)

// openCerts reads certificates, or returns nil if there are to be none.
func openCerts(s *config.Settings, log *slog.Logger) (*certs.Store, error) {
	t := &s.TLS
	if !t.On() {
		return nil, nil
	}
	o := certs.Options{MinVersion: minVersion(t.MinVersion), Report: func(e certs.Event) { logCert(log, e) }}
	if t.CertFile != "" {
		o.Pairs = append(o.Pairs, certs.Pair{Cert: t.CertFile, Key: t.KeyFile})
	}
	for _, c := range t.Certificates {
		o.Pairs = append(o.Pairs, certs.Pair(c))
	}
	if a := &t.ACME; len(a.Domains) > 0 {
		roots, err := readRoots(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.acme-ca-file: %w", err)
		}
		cache := a.Cache
		if cache == "" {
			cache = filepath.Join(s.Data, "acme")
		}
		o.ACME = certs.ACME{Domains: a.Domains, Email: a.Email, Directory: a.Directory, Cache: cache, RootCAs: roots}
	}
	return certs.Open(o)
}

func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " holds no certificate in PEM form")
	}
	return pool, nil
}

func minVersion(text string) uint16 {
	if text == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// logCert logs what happens to a certificate.
func logCert(log *slog.Logger, e certs.Event) {
	about := []any{"names", e.Names}
	if !e.NotAfter.IsZero() {
		about = append(about, "until", e.NotAfter.Format(time.RFC3339))
	}
	if e.Err != nil {
		about = append(about, "error", e.Err)
	}
	switch e.Kind {
	case certs.Loaded:
		log.Info("certificate loaded", about...)
	case certs.Expiring:
		log.Warn("certificate expires soon", about...)
	case certs.Failed:
		log.Error("certificate cannot be used", about...)
	default:
		log.Warn("certificate", about...)
	}
}
