// Package weir is the map of a module, and holds no code.
//
// weir is a streaming server and a library for Server-Sent Events and chunked
// HTTP responses. There are three ways in:
//
//   - [github.com/weirstream/weir/stream] keeps a response of your own net/http
//     handler open after the handler has returned. Start with stream.SSE.
//   - [github.com/weirstream/weir/hub] adds topics, history, resume and fan-out.
//     Start with hub.New.
//   - github.com/weirstream/weir/cmd/weir is a server for programs in any
//     language. Start with "weir serve".
//
// Below them, [github.com/weirstream/weir/sse] reads and writes the wire format
// and knows nothing of HTTP, and [github.com/weirstream/weir/eventlog] is the log
// that gives every message its position; implement its Log to keep messages
// elsewhere, and prove it with package eventlog/logtest.
//
// Everything else is internal. ARCHITECTURE.md in the repository lists all
// packages and the way of a message through them.
package weir
