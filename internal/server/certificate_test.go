package server_test

import (
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/certtest"
)

// certificate returns two files with a certificate for this machine and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	if err := certtest.SelfSigned("localhost", "127.0.0.1", "::1").Write(dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}
