package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	minSecret    = 24       // bytes
	maxFile      = 64 << 10 // bytes of a file with secrets
	secretPrefix = "whsec_" // begins a secret that is in base64
)

// sign returns the signature of a request by Standard Webhooks 1.0.0, "v1,BASE64".
func sign(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// readSecrets reads a file with one secret per line, at least one: either whsec_ and the
// secret in base64, or the secret itself. Space around it, and empty lines, do not count.
// Errors do not quote secrets.
func readSecrets(path string) ([][]byte, error) {
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
	secrets, err := parseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secrets, nil
}

func parseSecrets(text string) (secrets [][]byte, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		secret := []byte(line)
		if encoded, ok := strings.CutPrefix(line, secretPrefix); ok {
			if secret, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=")); err != nil {
				return nil, fmt.Errorf("line %d: what follows %s is not base64", n, secretPrefix)
			}
		}
		if len(secret) < minSecret {
			return nil, fmt.Errorf("line %d: the secret has %d bytes, want %d or more: make one with openssl rand -base64 32", n, len(secret), minSecret)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errors.New("holds no secret: make one with openssl rand -base64 32")
	}
	return secrets, nil
}
