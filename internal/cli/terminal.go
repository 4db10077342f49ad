package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
)

// isTerminal reports whether v is a file that is a terminal. Other character
// devices count as well: what is written to /dev/null does not matter.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wantsColour follows https://no-color.org.
func wantsColour(s Streams) bool {
	return isTerminal(s.Out) && s.lookup("NO_COLOR") == "" && s.lookup("TERM") != "dumb"
}

// printable shows control characters and invalid bytes as escapes, except tab
// and line feed, so that text from others cannot steer the terminal.
func printable(text string) string {
	if strings.IndexFunc(text, unsafe) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !unsafe(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unsafe reports control characters, and those that change the direction of the
// text around them.
func unsafe(r rune) bool {
	return unicode.IsControl(r) && r != '\t' && r != '\n' || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r)
}

// meterEvery is the shortest time between two updates of a live count.
const meterEvery = 100 * time.Millisecond

// Notes are the lines a running command writes for its user, and below them a
// live count if there is a terminal. It belongs to one goroutine.
type notes struct {
	w      io.Writer
	prefix string
	quiet  bool
	live   bool // show a count

	count   string    // what to show; "" for nothing
	shown   string    // what stands in the last line of the terminal
	showing time.Time // since when
}

// say writes one line.
func (n *notes) say(format string, args ...any) {
	if n.quiet {
		return
	}
	n.erase()
	fmt.Fprintf(n.w, "%s: %s\n", n.prefix, fmt.Sprintf(format, args...))
	n.draw()
}

// set changes the live count. It is drawn now, or when stale ends.
func (n *notes) set(count string) {
	n.count = count
	if time.Since(n.showing) >= meterEvery {
		n.draw()
	}
}

// stale returns a channel that is ready when the live count must be redrawn; nil
// if it is current.
func (n *notes) stale() <-chan time.Time {
	if !n.live || n.quiet || n.count == n.shown {
		return nil
	}
	return time.After(meterEvery - min(meterEvery, time.Since(n.showing)))
}

func (n *notes) draw() {
	if !n.live || n.quiet || n.count == n.shown {
		return
	}
	fmt.Fprintf(n.w, "\r\x1b[K%s", n.count)
	n.shown, n.showing = n.count, time.Now()
}

func (n *notes) erase() {
	if n.shown != "" {
		fmt.Fprint(n.w, "\r\x1b[K")
		n.shown = ""
	}
}
