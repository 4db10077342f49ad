package native

import (
	"reflect"
	"testing"
)

// FuzzPlainLineAgreesWithJSON holds the fast way and the thorough way to one result.
func FuzzPlainLineAgreesWithJSON(f *testing.F) {
	for _, line := range []string{
		`{"topic":"a","data":"x"}`, `{"topic":"a","data":""}`, `{"topic":"a","data":"x","idempotency_key":"k"}`,
		`{"topic":"a","data":"x","idempotency_key":""}`, `{"topic":"a","data":"x","idempotency_key":"a b"}`, `{"data":"x","topic":"a/b","type":"t","id":"1","key":"k"}`,
		`{ "topic" : "a" , "data" : "ü€😀" } `, `{"topic":"a","data":"x","data":"y"}`, `{"topic":"","data":"x"}`, `{"topic":"a","data":"\u0041"}`,
		`{"topic":"a","data":"x"}}`, `{"topic":"a","data":"x",}`, "{\"topic\":\"a\",\"data\":\"\xff\"}", `{"Topic":"a"}`, `{}`, `{"topic":"a"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, ok := parsePlain(line)
		if !ok {
			return
		}
		want, err := parseJSON(line)
		if err != nil {
			t.Fatalf("parsePlain reads %q, encoding/json says %v", line, err)
		}
		if len(fast.Data) == 0 && len(want.Data) == 0 {
			fast.Data, want.Data = nil, nil
		}
		if !reflect.DeepEqual(fast, want) {
			t.Fatalf("%q: parsePlain reads %+v, encoding/json %+v", line, fast, want)
		}
	})
}

func TestPlainLineIsReadFast(t *testing.T) {
	for _, line := range []string{`{"topic":"a/b","type":"t","data":"hello"}`, `{"topic":"a","idempotency_key":"k","data":"x"}`} {
		if _, ok := parsePlain([]byte(line)); !ok {
			t.Errorf("%s is not read by parsePlain", line)
		}
	}
}
