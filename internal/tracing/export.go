package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// run sends batches until Close was called and nothing waits any more.
func (t *Tracer) run() {
	defer close(t.done)
	for t.gather() {
		lost, err := t.send()
		t.dropped.Add(int64(lost))
		t.report(err)
		clear(t.batch) // which else would hold what was sent
	}
}

// gather waits for a span and for those that come soon after it. It returns false if
// there will be none.
func (t *Tracer) gather() bool {
	t.batch = t.batch[:0]
	select {
	case s := <-t.queue:
		t.batch = append(t.batch, s)
	case <-t.closing:
		return t.takeRest()
	}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for len(t.batch) < maxBatch {
		select {
		case s := <-t.queue:
			t.batch = append(t.batch, s)
		case <-timer.C:
			return true
		case <-t.closing:
			return t.takeRest()
		}
	}
	return true
}

// takeRest fills the batch with what waits, and reports whether there is any.
func (t *Tracer) takeRest() bool {
	for len(t.batch) < maxBatch {
		select {
		case s := <-t.queue:
			t.batch = append(t.batch, s)
		default:
			return len(t.batch) > 0
		}
	}
	return true
}

// send sends the batch, once: traces are a sample, and a second attempt would only make
// the queue fill earlier. It returns how many spans are lost.
func (t *Tracer) send() (lost int, err error) {
	spans := 0
	for _, s := range t.batch {
		spans += s.count()
	}
	body, err := json.Marshal(t.resource.payload(t.batch))
	if err != nil {
		return spans, err
	}
	ctx, cancel := context.WithTimeoutCause(t.sending, sendFor, fmt.Errorf("no answer within %v", sendFor))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return spans, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["Idempotency-Key"] = nil // not sent; has net/http try again if an idle connection was closed meanwhile
	resp, err := t.client.Do(req)
	if err != nil {
		return spans, err
	}
	defer resp.Body.Close()
	return readAnswer(resp, spans)
}

const maxAnswer = 64 << 10 // bytes of a receiver's answer that are looked at

// readAnswer returns how many spans a receiver has not taken.
func readAnswer(resp *http.Response, spans int) (lost int, err error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return spans, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return spans, fmt.Errorf("the receiver answered %s: %q", resp.Status, cut(string(text)))
	}
	var answer struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"` // a string, as all 64-bit numbers of OTLP
			ErrorMessage  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	_ = json.Unmarshal(text, &answer) // success is not told but by the status
	rejected, _ := answer.PartialSuccess.RejectedSpans.Int64()
	if rejected <= 0 {
		return 0, nil
	}
	return int(min(rejected, int64(spans))), fmt.Errorf("the receiver refused %d of %d spans: %q", rejected, spans, cut(answer.PartialSuccess.ErrorMessage))
}

// report tells of failures, seldom.
func (t *Tracer) report(err error) {
	switch {
	case err != nil && time.Since(t.told) >= reportEvery:
		t.told, t.failing = time.Now(), true
		t.opts.Report(fmt.Errorf("%w (spans dropped so far: %d)", err, t.Dropped()))
	case err == nil && t.failing:
		t.failing = false
		t.opts.Report(nil)
	}
}
