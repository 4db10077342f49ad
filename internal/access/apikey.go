package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
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
// digits, or "name:" and the key itself. Behind spaces may follow what it grants:
//
//	shop:sha256:9f86d0… publish=orders/**,news subscribe=weir/** rate=100 streams=5
//
// If publish or subscribe is there, the key may do what the line says and no more.
// Else it may do what g allows. Limits that the line does not name are those of g.
//
// Errors do not hold the key.
func ParseAPIKey(text string, g Grant) (APIKey, error) {
	name, rest, found := strings.Cut(text, ":")
	if !found || name == "" {
		return APIKey{}, errors.New("an API key is written NAME:KEY or NAME:sha256:HASH")
	}
	k := APIKey{Name: name, Grant: g}
	if err := k.read(rest); err != nil {
		return APIKey{}, fmt.Errorf("API key %q: %w", name, err)
	}
	return k, nil
}

// read reads what is behind the name.
func (k *APIKey) read(rest string) (err error) {
	key, words, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " ")
	if k.Grant, err = readWords(strings.Fields(words), k.Grant); err != nil {
		return err
	}
	if k.Grant.User == "" {
		k.Grant.User = k.Name
	}
	if err := k.Grant.Check(); err != nil {
		return err
	}
	if k.sum, err = parseSum(key); err != nil {
		return err
	}
	if k.Grant.ID == "" {
		k.Grant.digest = hex.EncodeToString(k.sum[:8]) // see shortDigest
	}
	return nil
}

// readWords returns g, changed by words such as "rate=100". An unknown word is not
// quoted: it may be a piece of a key that has a space in it.
func readWords(words []string, g Grant) (Grant, error) {
	seen := make(map[string]bool)
	for i, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if seen[name] {
			return Grant{}, fmt.Errorf("%s= comes twice", name)
		}
		if patterns := name == "publish" || name == "subscribe"; patterns && !seen["publish"] && !seen["subscribe"] {
			g.Publish, g.Subscribe = nil, nil
		}
		if err := setWord(&g, name, value); err != nil {
			return Grant{}, fmt.Errorf("word %d behind the key: %w", i+1, err)
		}
		seen[name] = true
	}
	return g, nil
}

func setWord(g *Grant, name, value string) (err error) {
	switch name {
	case "publish":
		g.Publish = strings.Split(value, ",")
	case "subscribe":
		g.Subscribe = strings.Split(value, ",")
	case "rate":
		g.Limits.Rate, err = parseCount(name, value)
	case "streams":
		g.Limits.Streams, err = parseCount(name, value)
	default:
		return errors.New("want publish=, subscribe=, rate= or streams=")
	}
	return err
}

func parseCount(name, value string) (int, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s=%.32q: want a whole number from 1 to %d", name, value, math.MaxInt32)
	}
	return int(n), nil
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

// ReadAPIKeys reads a file with one key per line, as [ParseAPIKey] wants it. What a
// line does not say it takes from g. Empty lines and those that begin with # are skipped.
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
