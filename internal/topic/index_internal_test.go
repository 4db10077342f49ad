package topic

import "testing"

func TestIndexLeavesNothingBehind(t *testing.T) {
	var x Index[int]
	patterns := []string{"a", "a/b/c", "a/*/c", "*/b/**", "a/b/**", "*", "**"}
	for _, p := range patterns {
		x.Add(p, 1)
	}
	for _, p := range patterns {
		if !x.Remove(p, 1) {
			t.Errorf("Remove(%q) does not find it", p)
		}
	}
	if names := len(x.single) + len(x.crowds); names != 0 || !x.wild.empty() {
		t.Errorf("after all are removed %d names are left, tree empty: %v", names, x.wild.empty())
	}
}
