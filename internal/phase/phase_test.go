package phase_test

import (
	"testing"

	"github.com/weirstream/weir/internal/phase"
)

func TestPhaseIsOverOnceItWasEnded(t *testing.T) {
	p := phase.New()
	if p.Over() {
		t.Error("it is over at once")
	}
	p.End()
	p.End()
	<-p.Done()
	if !p.Over() {
		t.Error("it is not over")
	}
}
