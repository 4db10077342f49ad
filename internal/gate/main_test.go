package gate_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/leak"
)

// TestMain fails if a goroutine is left over.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }
