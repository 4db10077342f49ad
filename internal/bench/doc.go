// Package bench is a load tool for servers of event streams, weir or not: it opens
// many readers, publishes, and says what arrived, when, and at what cost.
//
// [Run] is the name to start with. It takes [Options], which name one of
// [Scenarios], and returns a [Result]: a list of metrics that prints itself and
// that [Threshold] can judge. Calls of Run may be made at once, though they share
// the processor and disturb each other's figures.
//
// The client must cost far less than the server. On Linux all plain connections
// share one goroutine, one epoll descriptor and one read buffer, and nothing is
// allocated per message; see epoll_linux.go. TLS and other systems take one
// goroutine per connection behind the same interface.
//
// A message carries the stream it belongs to, its number in that stream and the
// time it was due, at a fixed place in its payload; see payload.go. A stream has
// one publisher that sends a message after the one before was acknowledged, so
// its order is defined, and each reader is held to it.
package bench
