package feed

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// Password returns what PasswordFile holds now, without the end of its line, or given if
// there is no such file: what is in From, for most. An error does not quote it.
func (s *Spec) Password(given string) (string, error) {
	if s.PasswordFile == "" {
		return given, nil
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// TLS returns how to reach a server by TLS 1.2 or newer, whose certificate must be signed
// by who is in CAFile now; without such a file RootCAs is nil, for the system's. The caller
// owns it.
func (s *Spec) TLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca-file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca-file %s has no certificate", s.CAFile)
	}
	return config, nil
}
