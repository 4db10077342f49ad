package native

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/weirstream/weir/internal/problem"
)

// A publisher that gets no answer does not know whether its message is kept. With
// an idempotency key it can just send it again: the log stores a message with a
// key that was used before no second time.
//
// A key belongs to the first topic of its message. Otherwise whoever may publish
// to any topic could, with a key that it guesses, have messages to all others
// dropped; and one name of an event could not be the key of messages about it in
// two topics.

const (
	keyHeader      = "Idempotency-Key"
	keyParam       = "idempotency_key" // also the field of a JSON line
	replayedHeader = "Idempotency-Replayed"
	maxKey         = 255 // bytes in a key
)

// requestKey returns the idempotency key of a request, or "". header are the values
// of keyHeader.
func requestKey(q url.Values, header []string) (key string, err error) {
	switch len(header) {
	case 0:
	case 1:
		if key, err = headerKey(header[0]); err != nil {
			return "", err
		}
	default:
		return "", problem.BadRequest("bad_idempotency_key", keyHeader+" is given "+strconv.Itoa(len(header))+" times: want it once")
	}
	if !q.Has(keyParam) {
		return key, nil
	}
	param := q.Get(keyParam)
	if key != "" && key != param {
		return "", problem.BadRequest("bad_idempotency_key", keyHeader+" is "+problem.Quote(key)+", but "+keyParam+" is "+problem.Quote(param)+": want one key")
	}
	return param, checkKey(keyParam, param)
}

// headerKey reads the header. "a" in quotes and the bare a are the same key.
//
// Source: IETF draft "The Idempotency-Key HTTP Header Field", and RFC 9651, section
// "Strings". Most clients leave the quotes out.
func headerKey(text string) (string, error) {
	key := text
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		if key, ok = unquoteKey(quoted); !ok {
			return "", problem.BadRequest("bad_idempotency_key", keyHeader+" is "+problem.Quote(text)+`: want one string that ends with a quote, \ in it only before \ and "`)
		}
	}
	return key, checkKey(keyHeader, key)
}

// unquoteKey reads a string after its first quote.
func unquoteKey(s string) (key string, ok bool) {
	s, ok = strings.CutSuffix(s, `"`)
	if !ok || strings.IndexByte(s, '\\') < 0 {
		return s, ok && strings.IndexByte(s, '"') < 0
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) || s[i] != '\\' && s[i] != '"' {
				return "", false
			}
		} else if s[i] == '"' {
			return "", false
		}
		b = append(b, s[i])
	}
	return string(b), true
}

// checkKey reports why key, which was given as name, is none.
func checkKey(name, key string) error {
	if len(key) > maxKey {
		return problem.BadRequest("bad_idempotency_key", fmt.Sprintf("%s has %d bytes, limit %d", name, len(key), maxKey))
	}
	if !isKey(key) {
		return problem.BadRequest("bad_idempotency_key", fmt.Sprintf("%s is %s: want 1 to %d bytes of visible ASCII", name, problem.Quote(key), maxKey))
	}
	return nil
}

// isKey reports whether s is visible ASCII of 1 to maxKey bytes.
func isKey[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxKey
}

// logKey is what the log gets as the key of a message to topic; line is 0, or the
// number of the line if the key is that of the whole request. It has 32 bytes
// whatever the client has chosen, so that the number of keys bounds their memory.
func logKey(topic, key string, line int) string {
	b := make([]byte, 0, 600) // on the stack
	b = append(b, topic...)
	b = append(b, 0) // which no topic has
	b = append(b, key...)
	if line > 0 {
		b = append(b, '/')
		b = strconv.AppendInt(b, int64(line), 10)
	}
	sum := sha256.Sum256(b)
	return string(sum[:])
}
