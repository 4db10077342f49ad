package hub

import (
	"fmt"

	"github.com/weirstream/weir/eventlog"
)

// A Watch says when a topic may have got something. It holds no messages: whoever
// waits reads them from the log.
type Watch struct {
	watchers *watchers
	watcher  *watcher
}

// Watch begins to watch topics or patterns. Call Stop when it is no longer needed.
// What is published from now on is signalled; what comes before is not, so look at
// the log after Watch, and then wait.
func (h *Hub) Watch(topics ...string) (*Watch, error) {
	sel, err := eventlog.Select(topics...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPattern, err)
	}
	return &Watch{&h.watchers, h.watchers.add(sel)}, nil
}

// Ready receives once after any number of messages, and after [Hub.Wake]. It may
// receive when there is nothing new.
func (w *Watch) Ready() <-chan struct{} { return w.watcher.ready }

// Closed is closed with the hub.
func (w *Watch) Closed() <-chan struct{} { return w.watcher.done }

// Stop ends the watch. It may be called twice.
func (w *Watch) Stop() { w.watchers.remove(w.watcher) }

// Wake signals those that watch a topic, though it has got no message: something
// else that they look at has changed.
func (h *Hub) Wake(topic string) {
	ws := &h.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.index.Each(topic, (*watcher).signal)
}
