package hub

import (
	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/stream"
)

// EachReader calls fn for every stream that follows topics of the hub, with its
// topics and patterns, sorted; fn must not change them. Else it is like
// [stream.Engine.Each]: fn runs on the loops, several calls at once, and must not
// block, and what it has ended as Expired or Revoked gets nothing more that is
// published after EachReader has returned. Streams that begin to follow meanwhile
// may be left out.
func (h *Hub) EachReader(fn func(c *stream.Conn, topics []string)) {
	tables := make(map[*loop.Loop]*fanout.Table)
	var loops []*loop.Loop
	for _, t := range *h.tables.Load() { // one for each loop
		tables[t.Loop()] = t
		loops = append(loops, t.Loop())
	}
	loop.OnAll(loops, func(l *loop.Loop) {
		tables[l].Each(func(lc *loop.Conn, sel *eventlog.Selector) {
			if c, ok := lc.Owner().(*stream.Conn); ok {
				fn(c, sel.Patterns())
			}
		})
	})
}
