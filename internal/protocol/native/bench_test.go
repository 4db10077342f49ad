package native_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/native"
)

// BenchmarkPublishLines publishes JSON lines to many topics; one operation is one line.
func BenchmarkPublishLines(b *testing.B) {
	for _, c := range []struct {
		size  int
		keyed bool
	}{{128, false}, {1024, false}, {128, true}} {
		b.Run(fmt.Sprintf("bytes=%d/topics=5000/idempotency=%v", c.size, c.keyed), func(b *testing.B) {
			h, err := hub.New(hub.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			handler := native.New(h, native.Options{})
			const lines = 10_000
			var body bytes.Buffer
			for i := range lines {
				fmt.Fprintf(&body, `{"topic":"t/%d","type":"price","data":"%s"}`+"\n", i%5000, strings.Repeat("x", c.size))
			}
			b.ReportAllocs()
			b.SetBytes(int64(body.Len() / lines))
			for n := 0; n < b.N; n += lines {
				r := httptest.NewRequest("POST", "/v1/events", bytes.NewReader(body.Bytes()))
				r.Header.Set("Content-Type", "application/x-ndjson")
				if c.keyed {
					r.Header.Set("Idempotency-Key", fmt.Sprint("run-", n))
				}
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
