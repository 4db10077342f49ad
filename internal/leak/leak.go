// Package leak finds goroutines that tests have left behind.
//
//	func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }
package leak

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is for goroutines that are about to end.
const patience = 10 * time.Second

// Run runs the tests of a package. It returns the code to exit with, which is not 0 if
// a goroutine of this module or of net/http is left.
func Run(m *testing.M) int {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if left := Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		code = 1
	}
	return code
}

// Left waits for all such goroutines to end, and returns the stacks of those that do
// not. That of the caller does not count, nor do tests that wait for others.
func Left() string {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := strings.Join(stacks(), "\n\n")
		if left == "" || time.Now().After(deadline) {
			return left
		}
	}
}

func stacks() (left []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] { // the first is the caller's
		ours := strings.Contains(stack, "weirstream/weir/") || strings.Contains(stack, "net/http.")
		if ours && !strings.Contains(stack, "testing.(*M).Run(") && !strings.Contains(stack, "testing.(*T).Run(") {
			left = append(left, stack)
		}
	}
	return left
}
