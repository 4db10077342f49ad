// Package stream keeps HTTP responses open after their handlers have returned.
//
// [SSE] and [Chunked] make an http.Handler of a function that gets a [Conn]: a
// handle that stays valid when the function returns. Other goroutines, timers
// ([Conn.Every], [Conn.After]) and package hub write to it later; when the client
// goes, its timers go with it.
//
//	mux.Handle("/clock", stream.SSE(func(c *stream.Conn, r *http.Request) {
//		c.Every(2*time.Second, func() { c.Send(sse.Text(time.Now().String())) })
//	}))
//
// On Linux an HTTP/1.1 connection is taken over from net/http and costs no
// goroutine while it is silent. Other systems need one to notice the client's end,
// and HTTP/2 keeps the handler's. All behave alike.
//
// All methods of a Conn may be called at once and from any goroutine. None of
// those that write blocks: what does not fit into the send buffer is refused
// with [ErrFull], whole, so nothing is lost without being told.
//
// [Options.Admit] decides who gets a stream, and its [Guest] learns at once when the
// stream is closed. [Engine.Each] finds streams, [Conn.EndWith] ends them for a
// reason, and a [Notice] tells the reader before. [Refuse] is for browsers that
// should come back later.
//
// [Run] serves until a signal and then lets the streams end. For a server of the
// program's own there is [Stop]; http.Server.Shutdown ends the streams as well, but
// does not wait for them.
//
// Sources: WHATWG HTML, "Server-sent events"; RFC 9112 (chunked framing).
package stream
