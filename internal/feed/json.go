package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An object is a JSON object whose values have not been looked at.
type object map[string]json.RawMessage

var errNotJSON = errors.New("the body is not JSON")

// json returns the JSON text at a path of the body. A value that is null counts as
// missing.
func (v *view) json(path string) (string, error) {
	if path == "" {
		var b bytes.Buffer
		if err := json.Compact(&b, v.Body); err != nil {
			return "", fmt.Errorf("%w: %v", errNotJSON, err)
		}
		return b.String(), nil
	}
	names := strings.Split(path, ".")
	value, err := v.member(names[0])
	for _, name := range names[1:] {
		if err == nil {
			value, err = member(value, name)
		}
	}
	switch {
	case err != nil:
		return "", err
	case len(value) == 0 || string(value) == "null":
		return "", errMissing
	}
	var b bytes.Buffer
	err = json.Compact(&b, value)
	return b.String(), err
}

// member returns a value of the body itself, which is read once if it is an object.
func (v *view) member(name string) (json.RawMessage, error) {
	if v.root == nil {
		if err := json.Unmarshal(v.Body, &v.root); err != nil {
			v.root = nil
			if !json.Valid(v.Body) {
				return nil, fmt.Errorf("%w: %v", errNotJSON, err)
			}
			return member(v.Body, name)
		}
	}
	return v.root[name], nil
}

// member returns a value of an object or of an array, and nil if there is none.
func member(of json.RawMessage, name string) (json.RawMessage, error) {
	switch {
	case len(of) == 0:
		return nil, nil
	case of[0] == '[':
		var list []json.RawMessage
		i, err := strconv.Atoi(name)
		if err != nil {
			return nil, nil
		}
		if err := json.Unmarshal(of, &list); err != nil || i < 0 || i >= len(list) {
			return nil, err
		}
		return list[i], nil
	case of[0] == '{':
		var o object
		err := json.Unmarshal(of, &o)
		return o[name], err
	}
	return nil, nil
}

// unquote returns the text of a JSON string, and other JSON as it is.
func unquote(text string) string {
	var s string
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &s) == nil {
		return s
	}
	return text
}

// AppendText appends s to dst as a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}
