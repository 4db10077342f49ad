package webhook

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/secret"
)

const (
	maxSecrets = 10              // so that a request which is signed by none costs little
	settled    = 2 * time.Second // how old a file must be for another change to show in its time
)

// secrets are the lines of a file, which is read again when it has changed: any of them
// is right, so that one can be added before another is removed.
type secrets struct {
	path   string // "": there are none, and nothing is signed
	scheme feed.Scheme

	mu   sync.Mutex
	info fs.FileInfo // guarded by mu: of the file as it was read
	at   time.Time   // guarded by mu: when it was
	list [][]byte    // guarded by mu
	err  error       // guarded by mu
}

// current returns the secrets. An error does not quote them.
func (s *secrets) current() ([][]byte, error) {
	if s.path == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err != nil {
		s.info = nil
		return nil, fmt.Errorf("secret-file: %w", err)
	}
	if s.info == nil || !os.SameFile(s.info, info) || s.info.Size() != info.Size() || !s.info.ModTime().Equal(info.ModTime()) || s.at.Sub(info.ModTime()) < settled {
		s.info, s.at = info, time.Now()
		if s.list, err = s.read(); err != nil {
			err = fmt.Errorf("secret-file: %w", err)
		}
		s.err = err
	}
	return s.list, s.err
}

// read reads the file. With Standard Webhooks a line may have its secret in base64, with
// the others it is the secret.
func (s *secrets) read() ([][]byte, error) {
	decode := secret.Text
	if s.scheme == feed.Standard {
		decode = secret.Standard
	}
	list, err := secret.ReadFile(s.path, decode)
	if err != nil {
		return nil, err
	}
	if len(list) > maxSecrets {
		return nil, fmt.Errorf("%s has %d secrets, limit %d", s.path, len(list), maxSecrets)
	}
	return list, nil
}
