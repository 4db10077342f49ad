package stream

import (
	"math/rand/v2"
	"mime"
	"strings"
	"time"

	"github.com/weirstream/weir/sse"
)

// A Format says what the bytes of a stream look like, apart from its messages.
type Format struct {
	// ContentType of the response.
	ContentType string
	// Begin returns the first bytes, sent with the head. It may be nil.
	Begin func(o *Options) []byte
	// Beat is sent when the stream was silent; nil for none.
	Beat []byte
	// Farewell returns what to send before a stop of the server, where retry says
	// when the reader should come back. It may be nil.
	Farewell func(retry time.Duration) []byte
	// Notice returns an event of the server's own: see [Notice]. data is JSON on one
	// line. If nil, the format has no notices, and they are left out.
	Notice func(event string, data []byte) []byte
	// Comment returns text as something that readers ignore. If nil, the format
	// has no comments.
	Comment func(text string) []byte
}

// EventStream is the format of Server-Sent Events.
var EventStream = Format{
	ContentType: "text/event-stream",
	Begin:       beginEvents,
	Beat:        []byte(":\n"), // a lone comment line: the form that all parsers bear
	Farewell: func(retry time.Duration) []byte {
		return append(sse.AppendRetry(nil, retry), '\n')
	},
	Notice:  noticeEvent,
	Comment: func(text string) []byte { return sse.AppendComment(nil, text) },
}

func beginEvents(o *Options) []byte {
	if o.Retry == 0 {
		return []byte(":\n")
	}
	return append(sse.AppendRetry(nil, Jitter(o.Retry)), '\n')
}

// firstPaint is how many bytes some browsers wait for before they show a page.
const firstPaint = 1024

// pieces is the format of a chunked response: nothing but what is written.
func pieces(contentType string) Format {
	f := Format{ContentType: withCharset(contentType)}
	if t, _, _ := mime.ParseMediaType(contentType); t == "text/html" {
		padding := []byte("<!--" + strings.Repeat(" ", firstPaint-8) + "-->\n")
		f.Begin = func(*Options) []byte { return padding }
	}
	return f
}

// withCharset adds UTF-8 to text types that name no character set.
func withCharset(contentType string) string {
	t, params, err := mime.ParseMediaType(contentType)
	if err == nil && strings.HasPrefix(t, "text/") && params["charset"] == "" {
		return contentType + "; charset=utf-8"
	}
	return contentType
}

// soonest is how soon a reader may be told to come back: a browser keeps that
// time for every further attempt while the server is down.
const soonest = 500 * time.Millisecond

// spread returns a random time from soonest to window after it.
func spread(window time.Duration) time.Duration {
	return soonest + rand.N(window+1)
}
