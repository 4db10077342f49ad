package notify_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/leak"
)

// TestMain fails if a goroutine of this package is left over.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }
