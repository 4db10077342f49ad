package access

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// MaxToken is the longest token that is looked at, in bytes.
	MaxToken = 8 << 10
	// maxDepth is how deep objects and lists of a token may lie in each other.
	maxDepth = 8
)

// checkForm looks at a token before anything is decoded into memory: its size, its
// three parts, and that header and claims are JSON objects of bounded depth in
// which no name comes twice. Two parsers may take different ones of two values of
// the same name.
func checkForm(token string) error {
	if len(token) > MaxToken {
		return fmt.Errorf("it has %d bytes, limit %d", len(token), MaxToken)
	}
	if n := strings.Count(token, ".") + 1; n != 3 {
		return fmt.Errorf("it has %d parts, a JSON Web Token has 3", n)
	}
	if strings.ContainsAny(token, "\r\n") {
		return errors.New("it has a line end") // which package base64 skips
	}
	header, rest, _ := strings.Cut(token, ".")
	claims, _, _ := strings.Cut(rest, ".")
	if err := checkPart(header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := checkPart(claims); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	return nil
}

func checkPart(part string) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return errors.New("not base64url without padding")
	}
	return checkText(text)
}

// checkText looks at one JSON object.
func checkText(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // 1e999 is for those who read the claim to refuse
	if err := checkObject(d); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

var errNotJSON = errors.New("not a JSON object")

// A level is an object or list that is open.
type level struct {
	names map[string]bool // seen; nil: a list
	value bool            // of an object: a value is next, not a name
}

// checkObject reads one object. It keeps a stack of its own, so a deep one costs no
// more than a flat one.
func checkObject(d *json.Decoder) error {
	var open []level
	for {
		t, err := d.Token()
		if err != nil {
			return errNotJSON // with its text, a piece of the token might get out
		}
		switch {
		case t == json.Delim('}') || t == json.Delim(']'):
			if open = open[:len(open)-1]; len(open) == 0 {
				return nil
			}
			continue
		case len(open) == 0 && t != json.Delim('{'):
			return errNotJSON
		case len(open) > 0:
			if err := open[len(open)-1].next(t); err != nil {
				return err
			}
		}
		if delim, ok := t.(json.Delim); ok {
			if len(open) == maxDepth {
				return fmt.Errorf("more than %d objects and lists in each other", maxDepth)
			}
			open = append(open, newLevel(delim))
		}
	}
}

func newLevel(delim json.Delim) level {
	if delim == '{' {
		return level{names: make(map[string]bool)}
	}
	return level{}
}

// next notes that t, or what begins with it, lies directly in the level.
func (l *level) next(t json.Token) error {
	if l.names == nil {
		return nil
	}
	if l.value = !l.value; !l.value {
		return nil // it was a value
	}
	name := t.(string) // the decoder accepts nothing else here
	if l.names[name] {
		return fmt.Errorf("the name %.32q comes twice", name)
	}
	l.names[name] = true
	return nil
}
