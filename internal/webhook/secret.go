package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/secret"
)

const minSecret = 24 // bytes

// sign returns the signature of a request by Standard Webhooks 1.0.0, "v1,BASE64".
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// readSecrets reads a file with one secret per line: see [secret.Standard]. Errors do not
// quote secrets.
func readSecrets(path string) ([][]byte, error) {
	return secret.ReadFile(path, func(line string) ([]byte, error) {
		key, err := secret.Standard(line)
		if err == nil && len(key) < minSecret {
			err = fmt.Errorf("the secret has %d bytes, want %d or more: make one with openssl rand -base64 32", len(key), minSecret)
		}
		return key, err
	})
}
