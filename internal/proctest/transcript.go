package proctest

import (
	"strings"
	"sync"
)

// A Transcript is what has been written to it so far, by one program or several.
type Transcript struct {
	Limit int // in bytes: older text is forgotten; 0: none is

	mu   sync.Mutex
	text []byte // guarded by mu
}

// Write implements [io.Writer]. It does not fail.
func (x *Transcript) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.text = append(x.text, p...)
	if over := len(x.text) - x.Limit; x.Limit > 0 && over > 0 {
		x.text = append(x.text[:0], x.text[over:]...)
	}
	return len(p), nil
}

func (x *Transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.text)
}

// Lines returns the lines that have ended, without their ends.
func (x *Transcript) Lines() []string {
	all := strings.Split(x.String(), "\n")
	return all[:len(all)-1]
}

// Clear forgets everything.
func (x *Transcript) Clear() {
	x.mu.Lock()
	x.text = nil
	x.mu.Unlock()
}

// Tail shortens a text to its end, for messages.
func Tail(s string) string {
	const most = 4000 // bytes
	if len(s) > most {
		return "[…]" + s[len(s)-most:]
	}
	return s
}
