package server

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/stream"
)

// An accessLog has one line for each request, when it is answered, and for each
// stream, when it ends.
//
// No byte of a client can forge a line: the path is logged as it is on the wire, where
// everything but ASCII letters, digits and some signs is percent-encoded, net/http has
// checked the method, users have no control characters and are quoted where need be, and
// the other fields are the server's own. The query is left out, since it may hold what is
// nobody else's business.
type accessLog struct {
	log  *slog.Logger // nil: off
	open atomic.Int64 // streams whose line is still to come
}

// A visit is a request that is to be logged.
type visit struct {
	started              time.Time
	method, path, remote string
	user                 string // "": nobody in particular, or not known
	stream               uint64 // ID of the stream that it has become, which is logged when it ends; 0: none
}

type visitKey struct{}

// record wraps a handler. It stands within traffic.count.
func (a *accessLog) record(next http.Handler) http.Handler {
	if a.log == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{started: time.Now(), method: cut(r.Method), path: cut(r.URL.EscapedPath()), remote: r.RemoteAddr}
		end := "aborted" // unless the handler returns
		defer func() {
			if answer := w.(*answer); v.stream == 0 {
				a.write("request", v, answer.status, answer.bytes, end)
			}
		}()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
		w.(*answer).begin(http.StatusOK)
		end = "answered"
	})
}

// entered is told who sends a request, on its goroutine.
func (a *accessLog) entered(r *http.Request, user string) {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		v.user = user
	}
}

// opened is told of every stream, on the goroutine of its handler.
func (a *accessLog) opened(c *stream.Conn, r *http.Request) {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok {
		return
	}
	v.stream = c.ID()
	a.open.Add(1)
	c.OnClose(func(reason stream.Reason) {
		a.write("stream", v, http.StatusOK, c.BytesSent(), reason.String())
		a.open.Add(-1)
	})
}

// wait waits for the lines of streams that have ended.
func (a *accessLog) wait() {
	wait(context.Background(), func() bool { return a.open.Load() == 0 })
}

func (a *accessLog) write(what string, v *visit, status int, bytes int64, end string) {
	seconds := math.Round(time.Since(v.started).Seconds()*1e6) / 1e6
	fields := []any{"method", v.method, "path", v.path, "status", status, "seconds", seconds, "bytes", bytes, "remote", v.remote}
	if v.user != "" {
		fields = append(fields, "user", v.user)
	}
	if v.stream != 0 {
		fields = append(fields, "id", v.stream)
	}
	a.log.Info(what, append(fields, "end", end)...)
}

// longest is the most of a text from a client that is logged, in bytes.
const longest = 512

func cut(text string) string {
	if len(text) <= longest {
		return text
	}
	return text[:longest] + "..."
}
