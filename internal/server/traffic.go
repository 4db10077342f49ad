package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// traffic counts requests.
type traffic struct {
	requests   atomic.Int64
	answers    [len(classes)]atomic.Int64 // begun, by class of the status
	publishing atomic.Int64               // requests that may publish and are being served
	patience   time.Duration              // with clients that take nothing of an answer over HTTP/2; 0: without end
}

// classes of a status: that of status s is classes[s/100-2].
var classes = [...]string{"2xx", "3xx", "4xx", "5xx"}

// errors is how many requests were answered with status 400 or more.
func (t *traffic) errors() int64 { return t.answers[2].Load() + t.answers[3].Load() }

// served counts a request that was answered with success, without net/http.
func (t *traffic) served() {
	t.requests.Add(1)
	t.answers[0].Add(1)
}

// count wraps a handler. The wrapper passes everything through, so that connections
// can still be taken over.
func (t *traffic) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.requests.Add(1)
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			t.publishing.Add(1)
			defer t.publishing.Add(-1)
		}
		if !r.ProtoAtLeast(1, 1) {
			// Not to be kept: net/http reads a body in chunks as none where HTTP/1.0 is
			// spoken, and what is in it as the next request.
			w.Header().Set("Connection", "close")
		}
		a := &answer{ResponseWriter: w, traffic: t, http2: r.ProtoMajor == 2}
		next.ServeHTTP(a, r)
		a.begin(http.StatusOK) // it took the connection over, or net/http sends that now
	})
}

// waitPublishing waits until requests that may publish have been answered. Long
// ones, as streams asked for by POST, do not hold it up for more than a second.
func (t *traffic) waitPublishing(ctx context.Context) {
	wait(ctx, func() bool { return t.publishing.Load() == 0 })
}

// wait returns when done does so, but after a second at the latest.
func wait(ctx context.Context, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// An answer notes what is answered.
type answer struct {
	http.ResponseWriter
	traffic *traffic
	http2   bool
	status  int   // 0: not begun
	bytes   int64 // of the body; not of a connection that was taken over
}

// begin notes the status, once.
func (a *answer) begin(status int) {
	if class := status/100 - 2; a.status == 0 && class >= 0 && class < len(classes) {
		a.status = status
		a.traffic.answers[class].Add(1)
	}
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	a.limitTime()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// limitTime bounds how long a client may take nothing. With HTTP/1.1 the kernel does so:
// see giveUpAfter. With HTTP/2 the connection may be fine and its client grant no window.
func (a *answer) limitTime() {
	if patience := a.traffic.patience; a.http2 && patience > 0 {
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(patience))
	}
}

// Unwrap lets http.ResponseController reach what a wraps.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
