package loop

import (
	"context"
	"testing"
)

// TestIdlePipeGivesLargeBuffersBack looks at what a pipe keeps after a burst.
func TestIdlePipeGivesLargeBuffersBack(t *testing.T) {
	p := NewPipe(new(Conn))
	wrote := make(chan int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Serve(context.Background(), func(b []byte) error { wrote <- len(b); return nil })
	}()
	for _, n := range []int{60_000, 10, 10, 3000, 3000, 60_000, 10} {
		if took, err := p.Write(make([]byte, n)); took != n || err != nil {
			t.Fatalf("write of %d bytes: %d, %v", n, took, err)
		}
		if got := <-wrote; got != n {
			t.Fatalf("%d bytes were handed on, want %d", got, n)
		}
	}
	p.Close(true)
	<-done
	if cap(p.buf) > pipeSpare {
		t.Errorf("the idle pipe keeps %d bytes, want no more than %d", cap(p.buf), pipeSpare)
	}
}
