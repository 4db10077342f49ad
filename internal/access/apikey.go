package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// MinAPIKey and MaxAPIKey bound the length of an API key, in bytes.
	MinAPIKey = 32
	MaxAPIKey = 512
	// MaxAPIKeys is how many a verifier holds: each request is compared with all.
	MaxAPIKeys = 256

	hashed = "sha256:" // before the hash of a key
)

// An APIKey is a secret that does not expire, for programs that publish.
type APIKey struct {
	Name  string // of the program; the user of its grant unless that has one
	Grant Grant

	sum [sha256.Size]byte
}

// ParseAPIKey reads "name:sha256:" and the SHA-256 of the key in hexadecimal
// digits, or "name:" and the key itself. Errors do not hold the key.
func ParseAPIKey(text string, g Grant) (APIKey, error) {
	name, key, found := strings.Cut(text, ":")
	if !found || name == "" {
		return APIKey{}, errors.New("an API key is written NAME:KEY or NAME:sha256:HASH")
	}
	k := APIKey{Name: name, Grant: g}
	if g.User == "" {
		k.Grant.User = name
	}
	if err := k.Grant.Check(); err != nil {
		return APIKey{}, fmt.Errorf("API key %q: %w", name, err)
	}
	sum, err := parseSum(key)
	if err != nil {
		return APIKey{}, fmt.Errorf("API key %q: %w", name, err)
	}
	k.sum = sum
	return k, nil
}

func parseSum(key string) (sum [sha256.Size]byte, err error) {
	if digits, ok := strings.CutPrefix(key, hashed); ok {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != sha256.Size {
			return sum, fmt.Errorf("after sha256: want %d hexadecimal digits", 2*sha256.Size)
		}
		return [sha256.Size]byte(b), nil
	}
	if len(key) < MinAPIKey || len(key) > MaxAPIKey {
		return sum, fmt.Errorf("the key has %d bytes, want %d to %d", len(key), MinAPIKey, MaxAPIKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			return sum, fmt.Errorf("byte %d of the key cannot be sent in a header: want visible ASCII", i)
		}
	}
	return sha256.Sum256([]byte(key)), nil
}

// ReadAPIKeys reads a file with one key per line, as [ParseAPIKey] wants it, and
// gives g to each. Empty lines and those that begin with # are skipped.
func ReadAPIKeys(file string, g Grant) ([]APIKey, error) {
	content, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	var keys []APIKey
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := ParseAPIKey(line, g)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// findKey returns the grant of the API key that text is. It compares hashes, all of
// them and each in constant time, so how long it takes says nothing about a key.
func findKey(keys []APIKey, text string) (Grant, bool) {
	if len(keys) == 0 || len(text) > MaxAPIKey {
		return Grant{}, false
	}
	sum := sha256.Sum256([]byte(text))
	found := -1
	for i := range keys {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], keys[i].sum[:]), i, found)
	}
	if found < 0 {
		return Grant{}, false
	}
	return keys[found].Grant, true
}
