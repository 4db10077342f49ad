package topic_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

// pair is what an Index holds; a map of them is the obvious model of it.
type pair struct {
	pattern string
	v       int
}

func each(x *topic.Index[int], name string) []int {
	var got []int
	x.Each(name, func(v int) { got = append(got, v) })
	slices.Sort(got)
	return got
}

func modelEach(model map[pair]bool, name string) []int {
	var want []int
	for p := range model {
		if topic.Match(p.pattern, name) {
			want = append(want, p.v)
		}
	}
	slices.Sort(want)
	return want
}

func TestIndexFindsWhatMatches(t *testing.T) {
	var x topic.Index[int]
	for i, p := range []string{"a", "a/b", "*", "a/*", "**", "a/**", "*/b", "a/*/**"} {
		x.Add(p, i)
	}
	for name, want := range map[string][]int{
		"a":     {0, 2, 4, 5},
		"a/b":   {1, 3, 4, 5, 6, 7},
		"a/b/c": {4, 5, 7},
		"c":     {2, 4},
		"c/b":   {4, 6},
	} {
		if got := each(&x, name); !slices.Equal(got, want) {
			t.Errorf("Each(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestIndexKeepsEachPairOnce(t *testing.T) {
	var x topic.Index[int]
	x.Add("a/*", 1)
	x.Add("a/*", 1)
	x.Add("a/**", 1)
	if got := each(&x, "a/b"); !slices.Equal(got, []int{1, 1}) || x.Len() != 2 {
		t.Errorf("Each gives %v, Len %d; want one per pattern: [1 1], 2", got, x.Len())
	}
	if !x.Remove("a/*", 1) || x.Remove("a/*", 1) || x.Remove("b", 1) || x.Remove("b/*/c", 1) {
		t.Error("Remove does not tell what was there")
	}
	if got := each(&x, "a/b"); !slices.Equal(got, []int{1}) || x.Len() != 1 {
		t.Errorf("after Remove: Each gives %v, Len %d; want [1], 1", got, x.Len())
	}
}

func TestIndexAgreesWithMatchUnderRandomOperations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x topic.Index[int]
	model := map[pair]bool{}
	for range 4000 {
		p := pair{randomPath(rng, []string{"a", "b", "*", "**"}), rng.IntN(30)}
		if rng.IntN(5) < 3 {
			x.Add(p.pattern, p.v)
			model[p] = true
		} else {
			if got, want := x.Remove(p.pattern, p.v), model[p]; got != want {
				t.Fatalf("Remove(%q, %d) = %v, want %v", p.pattern, p.v, got, want)
			}
			delete(model, p)
		}
		name := randomPath(rng, []string{"a", "b", "c"})
		if got, want := each(&x, name), modelEach(model, name); !slices.Equal(got, want) {
			t.Fatalf("Each(%q) = %v, want %v", name, got, want)
		}
		if x.Len() != len(model) {
			t.Fatalf("Len() = %d, want %d", x.Len(), len(model))
		}
	}
}

// randomPath joins one to three of segs; "**" ends the path.
func randomPath(rng *rand.Rand, segs []string) string {
	var path []string
	for range 1 + rng.IntN(3) {
		path = append(path, segs[rng.IntN(len(segs))])
		if path[len(path)-1] == "**" {
			break
		}
	}
	return strings.Join(path, "/")
}

func FuzzIndexAgreesWithMatch(f *testing.F) {
	f.Add("a/*\na/**\n**\na/b", "a/b")
	f.Add("*/*/c\n*/b/**\na/b/c", "a/b/c")
	f.Fuzz(func(t *testing.T, patterns, name string) {
		if topic.Check(name) != nil {
			return
		}
		var x topic.Index[int]
		model := map[pair]bool{}
		for i, p := range strings.Split(patterns, "\n") {
			if topic.CheckPattern(p) == nil {
				x.Add(p, i)
				model[pair{p, i}] = true
			}
		}
		if got, want := each(&x, name), modelEach(model, name); !slices.Equal(got, want) {
			t.Errorf("Each(%q) = %v, want %v; patterns %q", name, got, want, patterns)
		}
		for p := range model {
			if !x.Remove(p.pattern, p.v) {
				t.Errorf("Remove(%q, %d) does not find it", p.pattern, p.v)
			}
		}
		if got := each(&x, name); got != nil || x.Len() != 0 {
			t.Errorf("after all are removed: Each(%q) = %v, Len() = %d", name, got, x.Len())
		}
	})
}

func TestEachAllocs(t *testing.T) {
	var x topic.Index[int]
	for i, p := range []string{"a/b/c", "a/*/c", "*/b/*", "a/**", "**"} {
		x.Add(p, i)
	}
	sum := 0
	if n := testing.AllocsPerRun(100, func() { x.Each("a/b/c", func(v int) { sum += v }) }); n != 0 {
		t.Errorf("Each allocates %v times, want 0", n)
	}
	if sum == 0 {
		t.Error("Each found nothing")
	}
}
