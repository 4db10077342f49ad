// Package sse reads and writes the wire format of server-sent events, the
// text/event-stream format of the WHATWG HTML standard. Bytes in, bytes out: it
// knows nothing of HTTP, connections or time.
//
// To write, start with [Text], [JSON] or an [Event] literal and [AppendEvent].
// To read, start with [NewReader], or with [Decoder] if the bytes arrive by
// themselves.
//
// # Terminology
//
//   - A stream is a sequence of lines, each ended by LF, CR or CRLF.
//   - A field is a line "name: value". Four names mean something: event, id,
//     retry and data. All others are ignored.
//   - A comment is a line that begins with a colon. Readers skip it, so a lone
//     comment serves as heartbeat.
//   - A block is the lines up to a blank line. An [Event] is what one block says.
//   - The last event ID is what a reader sends when it comes back, and the
//     reconnection time how long it waits before.
//
// A block without a data line is not shown to a web page, but its ID and its
// reconnection time count all the same. This package tells it from a block with
// an empty data line on both sides: [Event].Data is nil in the first case only.
//
// # Text
//
// The format is UTF-8. AppendEvent refuses a type or an ID that is not, and
// passes data as it is: a browser shows U+FFFD in place of bytes that are not
// UTF-8, so check with [unicode/utf8.Valid] where that matters. Decoding changes
// no byte either. Line ends in data do not survive: CR and CRLF arrive as LF.
//
// # Concurrency
//
// The functions may be called from any goroutine. A Decoder or Reader serves one
// goroutine at a time.
//
// Source: WHATWG HTML, "Server-sent events", sections "Parsing an event stream"
// (grammar), "Interpreting an event stream" (meaning) and "Authoring notes"
// (heartbeats).
package sse
