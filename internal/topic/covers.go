package topic

import "strings"

// Covers reports whether every name that matches pattern b also matches pattern
// a: "orders/**" covers "orders/*", which covers "orders/7", and not the other way
// round. Both should have been checked; for others the result is unspecified.
func Covers(a, b string) bool {
	if b == rest {
		b = one + "/" + rest // the same, since a name has at least one segment
	}
	for {
		if a == rest {
			return true
		}
		if b == rest {
			return false // b matches what ends here, and a wants more
		}
		segA, tailA, moreA := strings.Cut(a, "/")
		segB, tailB, moreB := strings.Cut(b, "/")
		if segA != one && segA != segB {
			return false
		}
		switch {
		case !moreA:
			return !moreB
		case !moreB:
			return tailA == rest
		}
		a, b = tailA, tailB
	}
}
