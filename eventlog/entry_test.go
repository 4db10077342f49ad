package eventlog_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
)

func TestFormIsMadeOnceForAll(t *testing.T) {
	e := &eventlog.Entry{Message: eventlog.Message{Data: []byte("x")}}
	upper := func(e *eventlog.Entry) []byte { return []byte(strings.ToUpper(string(e.Data))) }
	forms := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range forms {
		wg.Go(func() { forms[i] = e.Form(1, upper) })
	}
	wg.Wait()
	for i, form := range forms {
		if string(form) != "X" || &form[0] != &forms[0][0] {
			t.Errorf("form %d is %q at %p, the first %q at %p", i, form, form, forms[0], forms[0])
		}
	}
	if got := e.Form(0, func(*eventlog.Entry) []byte { return []byte("other") }); string(got) != "other" {
		t.Errorf("another form is %q", got)
	}
}
