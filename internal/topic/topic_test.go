package topic_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"a", ""},
		{"orders/eu/7", ""},
		{"नमस्ते/你好 🎉", ""},
		{"a b,c=d?&#%+", ""},
		{".a/..b/...", ""},
		{"\uFFFD", ""},
		{strings.Repeat("x", 255), ""},
		{strings.Repeat("x", 256), `topic starting "` + strings.Repeat("x", 32) + `": 256 bytes, limit 255`},
		{"", `topic "": empty`},
		{"/a", `topic "/a": empty segment at byte 0`},
		{"a/", `topic "a/": empty segment at byte 2`},
		{"a//b", `topic "a//b": empty segment at byte 2`},
		{"a/./b", `topic "a/./b": segment "." at byte 2`},
		{"..", `topic "..": segment ".." at byte 0`},
		{"ab/c\n", `topic "ab/c\n": control character U+000A at byte 4`},
		{"a\x00", `topic "a\x00": control character U+0000 at byte 1`},
		{"a\x7f", `topic "a\x7f": control character U+007F at byte 1`},
		{"a\u0085", `topic "a\u0085": control character U+0085 at byte 1`},
		{"a\xff", `topic "a\xff": invalid UTF-8 at byte 1`},
		{"a/\xe4\xbd", `topic "a/\xe4\xbd": invalid UTF-8 at byte 2`},
		{"a/*", `topic "a/*": "*" in a name at byte 2`},
		{"a/b*", `topic "a/b*": "*" in a name at byte 3`},
		{"**", `topic "**": "*" in a name at byte 0`},
	} {
		if got := text(topic.Check(c.name)); got != c.want {
			t.Errorf("Check(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckPatternSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"a/b", ""},
		{"*", ""},
		{"**", ""},
		{"*/a/*/**", ""},
		{"a*/b", `pattern "a*/b": "*" within a segment at byte 1`},
		{"a/***", `pattern "a/***": "*" within a segment at byte 2`},
		{"**/a", `pattern "**/a": "**" before the last segment at byte 0`},
		{"a/**/*", `pattern "a/**/*": "**" before the last segment at byte 2`},
		{"*/", `pattern "*/": empty segment at byte 2`},
		{"*/..", `pattern "*/..": segment ".." at byte 2`},
		{"", `pattern "": empty`},
		{"*/" + strings.Repeat("x", 300), `pattern starting "*/` + strings.Repeat("x", 30) + `": 302 bytes, limit 255`},
	} {
		if got := text(topic.CheckPattern(c.pattern)); got != c.want {
			t.Errorf("CheckPattern(%q) = %q, want %q", c.pattern, got, c.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestMatchFollowsWildcardRules(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"a/b", "a/b", true},
		{"a/b", "a/bc", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"*/*", "a/b", true},
		{"*/*", "a", false},
		{"*/b", "a/b", true},
		{"*/b", "a/c", false},
		{"a/*/c", "a/b/c", true},
		{"a/*/c", "a/b/d", false},
		{"a/*/c", "a/b", false},
		{"**", "a", true},
		{"**", "a/b/c", true},
		{"a/**", "a", true},
		{"a/**", "a/b/c/d", true},
		{"a/**", "ab", false},
		{"a/**", "b", false},
		{"a/*/**", "a", false},
		{"a/*/**", "a/b", true},
		{"a/*/**", "a/b/c/d", true},
		{"*/**", "a", true},
		{"你/*", "你/好", true},
	} {
		if got := topic.Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestIsPatternTellsNamesFromPatterns(t *testing.T) {
	for p, want := range map[string]bool{"a/b": false, "*": true, "a/**": true, "a/*/b": true} {
		if got := topic.IsPattern(p); got != want {
			t.Errorf("IsPattern(%q) = %v, want %v", p, got, want)
		}
	}
}

func FuzzMatchNeverPanics(f *testing.F) {
	f.Add("a/*/c", "a/b/c")
	f.Add("**", "")
	f.Add("//", "*/\xff")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		got := topic.Match(pattern, name)
		if topic.Check(name) != nil {
			return
		}
		if topic.CheckPattern(name) != nil {
			t.Errorf("CheckPattern(%q) refuses a name: %v", name, topic.CheckPattern(name))
		}
		if !topic.Match(name, name) || !topic.Match("**", name) || !topic.Match(name+"/**", name) {
			t.Errorf("%q is not matched by itself, ** or itself/**", name)
		}
		if topic.CheckPattern(pattern) == nil && !topic.IsPattern(pattern) && got != (pattern == name) {
			t.Errorf("Match(%q, %q) = %v without a wildcard", pattern, name, got)
		}
	})
}
