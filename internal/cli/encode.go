package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// A form says how pub makes a message of what it is given.
type form struct {
	Topic  string `json:"topic,omitempty"`
	Type   string `json:"type,omitempty"`
	ID     string `json:"id,omitempty"`
	Key    string `json:"key,omitempty"`
	State  bool   `json:"state,omitempty"`
	Base64 bool   `json:"base64,omitempty"`
	Data   any    `json:"data"`
}

// text returns the JSON object for data, which is sent as base64 if it is not
// UTF-8. It does not keep data.
func (f form) text(data []byte) ([]byte, error) {
	f.Data = string(data)
	if !utf8.Valid(data) {
		f.Data, f.Base64 = data, true
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(f)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// object checks that data is a JSON object and adds what it lacks. It returns nil
// for an empty line.
func (f form) object(data []byte) ([]byte, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, errors.New("not a JSON object")
	}
	added := false
	add := func(name string, value any) {
		if _, there := fields[name]; !there && value != "" && value != false {
			fields[name], _ = json.Marshal(value)
			added = true
		}
	}
	if _, several := fields["topics"]; !several {
		add("topic", f.Topic)
	}
	add("type", f.Type)
	add("key", f.Key)
	add("state", f.State)
	if !added {
		return bytes.Clone(data), nil
	}
	return json.Marshal(fields)
}
