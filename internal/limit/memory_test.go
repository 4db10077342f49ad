package limit_test

import (
	"errors"
	"testing"

	"github.com/weirstream/weir/internal/limit"
)

func TestMemoryIsOverUntilItIsWellBelow(t *testing.T) {
	for _, c := range []struct {
		limit int64
		used  []uint64
		over  []bool
		times uint64
	}{
		{1000, []uint64{0, 999, 1000, 999, 950, 949, 950, 999, 1001, 10}, []bool{false, false, true, true, true, false, false, false, true, false}, 2},
		{0, []uint64{0, 1 << 62}, []bool{false, false}, 0},
		{-1, []uint64{0, 1 << 62}, []bool{false, false}, 0},
		{1, []uint64{1, 0}, []bool{true, false}, 1},
	} {
		var now uint64
		m := limit.NewMemory(c.limit, func() uint64 { return now })
		if m.Over() || m.Admit() != nil {
			t.Errorf("limit %d: it is over before the first sample", c.limit)
		}
		for i := range c.used {
			now = c.used[i]
			if m.Sample(); m.Over() != c.over[i] || m.Used() != now || (m.Admit() != nil) != c.over[i] {
				t.Errorf("limit %d, after %v: over is %v, want %v", c.limit, c.used[:i+1], m.Over(), c.over[i])
			}
		}
		if m.Times() != c.times || m.Limit() != uint64(max(c.limit, 0)) {
			t.Errorf("limit %d: %d times over %d, want %d", c.limit, m.Times(), m.Limit(), c.times)
		}
	}
}

func TestMemoryRefusalNamesValueAndLimit(t *testing.T) {
	m := limit.NewMemory(1000, func() uint64 { return 1234 })
	m.Sample()
	var e *limit.Error
	if err := m.Admit(); !errors.As(err, &e) || e.Error() != "1234 bytes of memory, limit 1000" || e.Status != 503 || e.Code != limit.Overloaded || e.RetrySeconds() < 1 {
		t.Errorf("the refusal is %+v", err)
	}
	if m.Refused() != 1 {
		t.Errorf("%d refusals counted, want 1", m.Refused())
	}
}
