package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"
)

const maxFile = 1 << 20 // bytes of a certificate or key file

// A Pair of files in PEM form. Both may be the same file.
type Pair struct {
	Cert string // the certificate of the server, then those it depends on
	Key  string // its private key, not encrypted
}

// A pair and what was last read from it.
type pair struct {
	index int
	files Pair

	cert     *tls.Certificate // what is served; set by the first load that goes well
	sum      [sha256.Size]byte
	warnings []error
	held     held

	err      string    // of the last load; "" if it went well
	reported time.Time // of err
}

// load reads the files again. If they cannot be served, the error names both and
// everything stays as it was.
func (p *pair) load() error {
	text, err := p.files.read()
	if err != nil {
		return p.files.wrap(err)
	}
	cert, err := parsePair(text.cert, text.key)
	if err != nil {
		return p.files.wrap(err)
	}
	p.cert, p.sum, p.held = cert, text.sum(), held{leaf: cert.Leaf}
	p.warnings = concerns(cert.Leaf)
	if text.open {
		p.warnings = append(p.warnings, fmt.Errorf("every user of this machine can read the key file %q", p.files.Key))
	}
	return nil
}

// changed reports whether the files hold something else than what is served. It compares
// contents: they are short, and times and sizes can be the same by chance.
func (p *pair) changed() bool {
	text, err := p.files.read()
	return err != nil || text.sum() != p.sum
}

func (p *pair) event(kind Kind, err error) Event { return certEvent(kind, p.index, p.held.leaf, err) }

func (f Pair) wrap(err error) error {
	return fmt.Errorf("certificate %q with key %q: %w", f.Cert, f.Key, err)
}

// What the two files hold.
type pairText struct {
	cert, key []byte
	open      bool // every user can read the key
}

func (t *pairText) sum() [sha256.Size]byte {
	cert := sha256.Sum256(t.cert)
	return sha256.Sum256(append(cert[:], t.key...))
}

func (f Pair) read() (*pairText, error) {
	cert, _, err := readFile(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("the certificate file: %w", err)
	}
	key, mode, err := readFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("the key file: %w", err)
	}
	// On Windows the bits say nothing about who may read.
	open := mode&0o004 != 0 && runtime.GOOS != "windows"
	return &pairText{cert: cert, key: key, open: open}, nil
}

// readFile returns the content and the mode of a file. The error does not repeat its name.
func readFile(name string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if info.Mode().Type() != 0 { // to open a named pipe would wait
		return nil, 0, errors.New("it is no regular file")
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if len(text) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return text, info.Mode(), withoutPath(err)
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
