package feed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
)

// TestLinesAreCutAlikeHoweverTheyArrive gives the same text in pieces of all sizes.
func TestLinesAreCutAlikeHoweverTheyArrive(t *testing.T) {
	text := "a\nbc\r\n\n12345678\n12345678\r\n123456789\n123456789\r\n" + strings.Repeat("x", 50) + "\n\r\nend\r"
	want := `"a" "bc" "" "12345678" "12345678" "12345678"! "12345678"! "xxxxxxxx"! "" | "end\r"`
	for size := 1; size <= len(text); size++ {
		l := feed.Lines{Max: 8}
		var got []string
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			got = append(got, show(l.Cut([]byte(rest[:n])))...)
			rest = rest[n:]
		}
		if l.Begun() != 4 {
			t.Errorf("size %d: Begun() = %d, want 4", size, l.Begun())
		}
		got = append(append(got, "|"), show(l.Rest())...)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("size %d:\n%s\nwant\n%s", size, s, want)
		}
	}
}

func show(lines []feed.Message) (texts []string) {
	for _, m := range lines {
		text := fmt.Sprintf("%q", m.Body)
		if m.Fault != nil {
			text += "!"
		}
		texts = append(texts, text)
	}
	return texts
}
