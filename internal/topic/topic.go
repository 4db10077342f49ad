// Package topic knows topic names, the patterns that select them, and an index
// that finds the patterns matching a name.
//
// A name is a path such as "orders/eu/7": 1 to [MaxBytes] bytes of UTF-8 in
// segments that are separated by slashes. A pattern is a name in which a whole
// segment may be "*", which stands for exactly one segment, and the last one may
// be "**", which stands for any number of them, also none: "orders/**" matches
// "orders" as well as "orders/eu/7", and "**" matches every name. Every name is
// a pattern that matches itself alone.
//
// Start with [Check], [CheckPattern] and [Match]; [Index] is for many patterns.
// The functions may be called at once; an Index belongs to one goroutine at a
// time.
package topic

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the longest name or pattern allowed, in bytes.
const MaxBytes = 255

const (
	one  = "*"  // stands for one segment
	rest = "**" // stands for all segments that are left
)

// Check returns nil if name is a topic name, or an error that says what is wrong
// and at which byte. Empty segments, "." and "..", control characters (C0, DEL
// and C1), invalid UTF-8 and "*" are refused.
func Check(name string) error {
	return check("topic", name, false)
}

// CheckPattern is like Check for a pattern.
func CheckPattern(pattern string) error {
	return check("pattern", pattern, true)
}

// IsPattern reports whether p has a wildcard, given that p is a name or a pattern.
func IsPattern(p string) bool {
	return strings.IndexByte(p, '*') >= 0
}

func check(what, s string, wild bool) error {
	if s == "" {
		return fmt.Errorf("%s %q: empty", what, s)
	}
	if len(s) > MaxBytes {
		return fmt.Errorf("%s starting %.32q: %d bytes, limit %d", what, s, len(s), MaxBytes)
	}
	for at := 0; ; {
		seg, _, more := strings.Cut(s[at:], "/")
		if off, bad := badSegment(seg, wild, !more); bad != "" {
			return fmt.Errorf("%s %q: %s at byte %d", what, s, bad, at+off)
		}
		if !more {
			return nil
		}
		at += len(seg) + 1
	}
}

// badSegment says what is wrong with seg and at which of its bytes.
func badSegment(seg string, wild, last bool) (at int, bad string) {
	switch {
	case seg == "":
		return 0, "empty segment"
	case seg == "." || seg == "..":
		return 0, fmt.Sprintf("segment %q", seg)
	case wild && seg == one, wild && seg == rest && last:
		return 0, ""
	case wild && seg == rest:
		return 0, `"**" before the last segment`
	}
	return badByte(seg, wild)
}

func badByte(seg string, wild bool) (at int, bad string) {
	for i, r := range seg {
		switch {
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return i, fmt.Sprintf("control character %U", r)
		case r == '*' && wild:
			return i, `"*" within a segment`
		case r == '*':
			return i, `"*" in a name`
		case r == utf8.RuneError && !strings.HasPrefix(seg[i:], "\uFFFD"):
			return i, "invalid UTF-8"
		}
	}
	return 0, ""
}

// Match reports whether pattern selects name. Both should have been checked; for
// others the result is unspecified.
func Match(pattern, name string) bool {
	for {
		p, pattern2, morePattern := strings.Cut(pattern, "/")
		if p == rest && !morePattern {
			return true
		}
		n, name2, moreName := strings.Cut(name, "/")
		if p != one && p != n {
			return false
		}
		if !moreName {
			return !morePattern || pattern2 == rest
		}
		if !morePattern {
			return false
		}
		pattern, name = pattern2, name2
	}
}
