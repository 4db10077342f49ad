package eventlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

// plant makes a tree of topics, which have lost the positions given.
func plant(lost map[string]uint64) (*node, map[string]*queue) {
	root, topics := new(node), map[string]*queue{}
	for name, seq := range lost {
		q := &queue{self: [1]string{name}}
		q.node = root.insert(name)
		q.node.q = q
		topics[name] = q
		if seq > 0 {
			q.lose(seq)
		}
	}
	return root, topics
}

func TestTreeAgreesWithMatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		lost := map[string]uint64{}
		for range 15 {
			lost[randomPath(rng, "abc")] = rng.Uint64N(20)
		}
		root, _ := plant(lost)
		for range 20 {
			pattern := randomPath(rng, "abcd**")
			if rng.IntN(3) == 0 {
				pattern += "/**"
			}
			floor := rng.Uint64N(15)
			checkTree(t, root, lost, pattern, floor)
		}
	}
}

func checkTree(t *testing.T, root *node, lost map[string]uint64, pattern string, floor uint64) {
	t.Helper()
	want, n := floor, 0
	for name, seq := range lost {
		if topic.Match(pattern, name) {
			want = max(want, seq)
			n++
		}
	}
	visits := maxVisit
	if got := root.gone(pattern, floor, &visits); got != want {
		t.Errorf("gone(%q, %d) = %d, want %d; lost %v", pattern, floor, got, want, lost)
	}
	visits = maxVisit
	found := map[*queue]bool{}
	all := root.collect(pattern, func(q *queue) bool { found[q] = true; return true }, &visits)
	if !all || len(found) != n {
		t.Errorf("collect(%q) finds %d topics, %v; want %d; topics %v", pattern, len(found), all, n, lost)
	}
}

// randomPath joins one to three of the characters.
func randomPath(rng *rand.Rand, segs string) string {
	var path []string
	for range 1 + rng.IntN(3) {
		path = append(path, string(segs[rng.IntN(len(segs))]))
	}
	return strings.Join(path, "/")
}

func TestTreeDoesNotUnderstateWhenItGivesUp(t *testing.T) {
	lost := map[string]uint64{}
	for i := range 50 {
		lost[fmt.Sprintf("a/%d/x", i)] = uint64(i)
	}
	root, _ := plant(lost)
	few := 10
	if got := root.gone("a/*/y", 0, &few); got != 49 || few < -1 {
		t.Errorf("gone with 10 visits of 50 topics that are not selected = %d, visits left %d; want to give up with 49", got, few)
	}
	for visits := range 60 {
		left := visits
		if got := root.gone("a/*/x", 0, &left); got != 49 {
			t.Errorf("gone with %d visits = %d, want 49", visits, got)
		}
		n := 0
		left = visits
		if root.collect("a/*/x", func(*queue) bool { n++; return true }, &left) != (n == 50) {
			t.Errorf("collect with %d visits finds %d of 50 topics and does not say so", visits, n)
		}
	}
}

func TestTreeLeavesNothingBehind(t *testing.T) {
	root, topics := plant(map[string]uint64{"a": 1, "a/b/c": 2, "a/b": 3, "d/e/f": 4})
	topics["a/b"].node.remove()
	if len(root.kids) != 2 || root.kids["a"].kids["b"].kids["c"].q == nil {
		t.Error("removing a topic in the middle removes those below it")
	}
	for _, name := range []string{"a", "a/b/c", "d/e/f"} {
		topics[name].node.remove()
	}
	if len(root.kids) != 0 {
		t.Errorf("%d nodes are left without topics", len(root.kids))
	}
}
