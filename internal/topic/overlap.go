package topic

import "strings"

// Overlap reports whether some name matches both patterns.
func Overlap(a, b string) bool {
	for {
		if a == rest || b == rest {
			return true
		}
		segA, tailA, moreA := strings.Cut(a, "/")
		segB, tailB, moreB := strings.Cut(b, "/")
		if segA != segB && segA != one && segB != one {
			return false
		}
		switch {
		case !moreA && !moreB:
			return true
		case !moreA:
			return tailB == rest
		case !moreB:
			return tailA == rest
		}
		a, b = tailA, tailB
	}
}
