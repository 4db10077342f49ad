package tracing_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/weirstream/weir/internal/tracing"
)

// BenchmarkHandler is what a request that publishes costs more when traces are on. What
// the queue has no room for is dropped.
func BenchmarkHandler(b *testing.B) {
	for _, ratio := range []float64{0, 1} {
		b.Run(fmt.Sprintf("ratio=%v", ratio), func(b *testing.B) {
			tracer, err := tracing.Open(tracing.Options{Endpoint: "http://127.0.0.1:1", Ratio: ratio})
			if err != nil {
				b.Fatal(err)
			}
			defer tracer.Close(b.Context())
			r, err := http.NewRequest("POST", "/v1/topics/orders/7", nil)
			if err != nil {
				b.Fatal(err)
			}
			h := tracer.Handler(new(counter))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nil, r)
			}
		})
	}
}
