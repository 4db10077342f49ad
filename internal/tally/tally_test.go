package tally_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/weirstream/weir/internal/tally"
)

func TestTotalIsTheSumOfNodes(t *testing.T) {
	var got tally.Tally[int]
	want := map[string]map[int]int{"a": {}, "b": {}, "c": {}}
	names := []string{"a", "b", "c"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		node, key, n := names[rng.IntN(3)], rng.IntN(5), rng.IntN(4)
		switch rng.IntN(20) {
		case 0:
			if had := got.Drop(node); !maps.Equal(had, nonzero(want[node])) {
				t.Fatalf("Drop(%s) = %v, want %v", node, had, nonzero(want[node]))
			}
			want[node] = map[int]int{}
		case 1, 2, 3, 4, 5, 6, 7, 8, 9:
			if before := got.Set(node, key, n); before != want[node][key] {
				t.Fatalf("Set(%s, %d) returned %d, want %d", node, key, before, want[node][key])
			}
			want[node][key] = n
		default:
			want[node][key] += n
			if now := got.Add(node, key, n); now != want[node][key] {
				t.Fatalf("Add(%s, %d, %d) = %d, want %d", node, key, n, now, want[node][key])
			}
		}
		check(t, &got, want)
	}
}

func check(t *testing.T, got *tally.Tally[int], want map[string]map[int]int) {
	t.Helper()
	total := map[int]int{}
	for node, counts := range want {
		for key, n := range counts {
			total[key] += n
		}
		if all := maps.Collect(got.Node(node)); !maps.Equal(all, nonzero(counts)) || got.Len(node) != len(all) {
			t.Fatalf("node %s has %v, want %v", node, all, nonzero(counts))
		}
	}
	if all := maps.Collect(got.All()); !maps.Equal(all, nonzero(total)) {
		t.Fatalf("all have %v, want %v", all, nonzero(total))
	}
	for key, n := range total {
		if got.Total(key) != n || got.Elsewhere("a", key) != n-want["a"][key] || got.Of("b", key) != want["b"][key] {
			t.Fatalf("key %d: total %d, elsewhere %d, of b %d", key, got.Total(key), got.Elsewhere("a", key), got.Of("b", key))
		}
	}
}

func nonzero(m map[int]int) map[int]int {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(_, n int) bool { return n == 0 })
	return m
}
