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
	errors     atomic.Int64 // answered with status 400 or more
	publishing atomic.Int64 // requests that may publish and are being served
}

// count wraps a handler. The wrapper passes everything but the status through,
// so that connections can still be taken over.
func (t *traffic) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.requests.Add(1)
		if r.Method == http.MethodPost {
			t.publishing.Add(1)
			defer t.publishing.Add(-1)
		}
		next.ServeHTTP(&statusWriter{ResponseWriter: w, traffic: t}, r)
	})
}

// waitPublishing waits until requests that may publish have been answered. Long
// ones, as streams asked for by POST, do not hold it up for more than a second.
func (t *traffic) waitPublishing(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for t.publishing.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A statusWriter counts error answers.
type statusWriter struct {
	http.ResponseWriter
	traffic *traffic
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= 400 {
		w.traffic.errors.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what w wraps.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
