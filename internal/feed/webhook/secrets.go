package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/feed"
)

const (
	maxSecrets = 10              // so that a request which is signed by none costs little
	maxFile    = 64 << 10        // bytes
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
		if s.list, err = readSecrets(s.path, info.Size(), s.scheme); err != nil {
			err = fmt.Errorf("secret-file: %w", err)
		}
		s.err = err
	}
	return s.list, s.err
}

// readSecrets reads a file that has so many bytes. With Standard Webhooks a secret is in
// base64 if it begins with whsec_, with the others it is the text.
func readSecrets(path string, size int64, scheme feed.Scheme) (list [][]byte, err error) {
	if size > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, limit %d", path, size, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		secret := []byte(line)
		if encoded, ok := strings.CutPrefix(line, "whsec_"); ok && scheme == feed.Standard {
			if secret, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=")); err != nil || len(secret) == 0 {
				return nil, fmt.Errorf("%s: line %d is not whsec_ and base64", path, number)
			}
		}
		list = append(list, secret)
	}
	switch {
	case len(list) == 0:
		return nil, errors.New(path + " has no secret")
	case len(list) > maxSecrets:
		return nil, fmt.Errorf("%s has %d secrets, limit %d", path, len(list), maxSecrets)
	}
	return list, nil
}
