package tracing

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

// FuzzParentIsWhatWasSent states that a traceparent which is accepted means what it
// says, and that no header is a reason to fail.
func FuzzParentIsWhatWasSent(f *testing.F) {
	good := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, seed := range []string{good, "cc" + good[2:] + "-x", "ff" + good[2:], "", strings.ToUpper(good), good[:54]} {
		f.Add(seed, "a=1,b=2")
	}
	f.Fuzz(func(t *testing.T, text, state string) {
		p, ok := readParent(http.Header{"Traceparent": {text}, "Tracestate": {state}})
		if !ok {
			return
		}
		read := hex.EncodeToString(p.trace[:]) + "-" + hex.EncodeToString(p.span[:]) + "-" + hex.EncodeToString([]byte{p.flags})
		if read != text[3:parentLen] || p.trace == (traceID{}) || p.span == (spanID{}) {
			t.Errorf("%q was read as %s", text, read)
		}
		if p.state != "" && (p.state != state || len(state) > maxText || strings.ContainsAny(state, "\r\n\x00")) {
			t.Errorf("tracestate %q was read as %q", state, p.state)
		}
	})
}
