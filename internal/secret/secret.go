// Package secret reads the secrets that webhooks are signed with.
//
// [ReadFile] reads a file of which each line is one, as [Standard] or [Text] understands
// it. The functions may be called at once. Errors do not quote secrets.
package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const maxFile = 64 << 10 // bytes

// prefix begins a secret that is in base64.
const prefix = "whsec_"

// Standard returns the secret of a line in the form of Standard Webhooks 1.0.0: whsec_ and
// the secret in base64, with or without padding. A line that does not begin with whsec_ is
// the secret itself.
func Standard(line string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(line, prefix)
	if !ok {
		return []byte(line), nil
	}
	secret, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(secret) == 0 {
		return nil, errors.New("want base64 after " + prefix)
	}
	return secret, nil
}

// Text returns the line, which is the secret.
func Text(line string) ([]byte, error) { return []byte(line), nil }

// ReadFile reads a file with one secret on each line, at least one: what decode makes of
// the lines, in their order. Space around a line does not count, nor do empty lines.
func ReadFile(path string, decode func(line string) ([]byte, error)) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than the limit of %d bytes", path, maxFile)
	}
	secrets, err := parse(string(text), decode)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secrets, nil
}

func parse(text string, decode func(line string) ([]byte, error)) (secrets [][]byte, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		secret, err := decode(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errors.New("holds no secret: make one with openssl rand -base64 32")
	}
	return secrets, nil
}
