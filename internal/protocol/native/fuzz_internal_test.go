package native

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
)

// checkProblem holds an error to what every problem promises: one line of text
// without the names of packages, and a code of the documented ones.
func checkProblem(t *testing.T, input any, err error) {
	t.Helper()
	p := asProblem(err)
	if p.Status < 400 || p.Status >= 500 || p.Code == "" || p.Code == "internal" {
		t.Fatalf("%q: %+v", input, p)
	}
	if !utf8.ValidString(p.Detail) || strings.ContainsFunc(p.Detail, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(p.Detail) > 800 {
		t.Fatalf("%.100q: detail is %q", input, p.Detail)
	}
	for _, name := range []string{"json: ", "hub: ", "eventlog: ", "sse: ", "native", "wireMessage", "Go "} {
		if strings.HasPrefix(p.Detail, name) || strings.Contains(p.Detail, ": "+name) {
			t.Fatalf("%q: detail %q names a package", input, p.Detail)
		}
	}
}

// FuzzParsedLineRoundTrips writes what was read as a line again: it is read as the
// same message. Lines that are no messages are refused with a reason.
func FuzzParsedLineRoundTrips(f *testing.F) {
	for _, line := range []string{
		`{"topic":"a","data":"text"}`, `{"topics":["a","b/c"],"type":"t","id":"i","key":"k","retry":1500,"data":{"x":[1,2.5,null]}}`,
		`{"topic":"a","base64":true,"data":"AAEC/w=="}`, `{"topic":"a","idempotency_key":"k","data":"x"}`, `{"topic":"a","idempotency_key":"\"\\k"}`, `{"topic":null,"topics":["\u00e9"],"data":"\ud83c\udf0a\ud83c"}`, `{"topic":"a","data": null }`,
		`{"topic":"a","data":"x`, `[]`, `{"x":1}`, `{"topic":"a"}{}`, "\xff", `{"topic":"a","retry":1e3}`, `{"TOPIC":"a","Data":1}`, ``, `{`, `{"topic":1}`,
		`{"` + strings.Repeat("x", 2000) + `":1}`, `{"retry":` + strings.Repeat("1", 2000) + `}`, `{"topic":"` + strings.Repeat("x", 2000) + `"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseLine(bytes.TrimSpace(line))
		if err != nil {
			checkProblem(t, line, err)
			return
		}
		again, err := parseLine(asLine(t, m))
		if err != nil {
			t.Fatalf("%q reads as %+v, which cannot be written and read: %v", line, m, err)
		}
		if !reflect.DeepEqual(again, m) {
			t.Fatalf("%q reads as\n%+v, and that, written and read,\n%+v", line, m, again)
		}
	})
}

// asLine writes a message as a publisher would.
func asLine(t *testing.T, m hub.Message) []byte {
	fields := map[string]any{
		"topics": m.Topics, "type": m.Type, "id": m.ID, "key": m.Key, "state": m.State, "retry": m.Retry.Milliseconds(),
		"base64": true, "data": base64.StdEncoding.EncodeToString(m.Data),
	}
	if m.IdempotencyKey != "" {
		fields["idempotency_key"] = m.IdempotencyKey
	}
	line, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// FuzzQueryIsUnderstoodWholeOrRefused reads any query as that of a subscription:
// what is accepted says every thing once and only things that mean something.
func FuzzQueryIsUnderstoodWholeOrRefused(f *testing.F) {
	for _, q := range []string{
		"topic=a&topic=b/*&since=start&policy=all&slow=latest&envelope=true&wait=30s", "last_event_id=x&since=now", "since=10m&since=1h",
		"last=5", "last=-1", "a;b", "%zz", "%00=%ff", "topic", "wait=5m0.1s", "Last-Event-ID=&last=1", "envelope=2", "since=2026-01-02T15:04:05Z", "+", "&&", "=",
	} {
		f.Add(q, "")
	}
	f.Add("since=start", "some-id")
	f.Fuzz(func(t *testing.T, raw, lastID string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: eventsPath, RawQuery: raw}, Header: http.Header{"Last-Event-Id": {lastID}}}
		q, err := query(r)
		if err == nil {
			err = onlyParams(q, selectParams)
		}
		if err == nil {
			_, err = subscription(r, q, q["topic"])
		}
		if err == nil {
			_, err = waitParam(q)
		}
		if err != nil {
			checkProblem(t, raw, err)
			return
		}
		said := 0
		for name, values := range q {
			if !slices.Contains(selectParams, name) || len(values) > 1 && name != "topic" {
				t.Fatalf("%q is accepted with %s=%q", raw, name, values)
			}
			said += len(values)
		}
		for part := range strings.SplitSeq(raw, "&") {
			if part != "" {
				said--
			}
		}
		if said != 0 {
			t.Fatalf("%q is accepted as %v, which is not all of it", raw, q)
		}
	})
}
