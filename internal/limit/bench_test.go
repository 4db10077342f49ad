package limit_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/internal/limit"
)

// BenchmarkSlots is what a stream costs from its begin to its end, with all keys, of
// its own or with one address for all.
func BenchmarkSlots(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("addresses=%d", keys), func(b *testing.B) {
			s := limit.NewSlots("streams", 0)
			kept := make([]*limit.Lease, keys)
			for i := range kept {
				kept[i], _ = s.Take(0, limit.Want{Key: ip(i)})
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				n := int(next.Add(1)) * 1000
				user, token := limit.UserKey(fmt.Sprint(n)), limit.TokenKey(fmt.Sprint(n))
				for ; pb.Next(); n++ {
					l, err := s.Take(1<<20, limit.Want{Key: ip(n % keys), Limit: 1 << 20}, limit.Want{Key: user}, limit.Want{Key: token})
					if err != nil {
						b.Fatal(err)
					}
					l.Release()
				}
			})
		})
	}
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			r := limit.NewRates("messages", 0)
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for n := int(next.Add(1)) * 1000; pb.Next(); n++ {
					r.Take(ip(n%keys), 1, 10, 1000)
				}
			})
		})
	}
}

// BenchmarkTakeFull is a flood of new addresses at the bound.
func BenchmarkTakeFull(b *testing.B) {
	r := limit.NewRates("messages", 0)
	for n := range 100_000 {
		r.Take(ip(n), 1, 1e-6, 1)
	}
	b.ReportAllocs()
	for n := 100_000; b.Loop(); n++ {
		r.Take(ip(n), 1, 1e-6, 1)
	}
}

func BenchmarkMeterAdd(b *testing.B) {
	m := limit.NewRates("bytes", 0).Meter(ip(1), 1e6)
	b.ReportAllocs()
	for b.Loop() {
		m.Add(4096)
	}
}

func BenchmarkUserKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = limit.UserKey("auth0|5f7c8ec7c33c6c004bbafe82")
	}
}
