package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/backoff"
)

// A problem is the part that all answers of JetStream may have.
type problem struct {
	Error *jetstream.APIError `json:"error"`
}

func (p *problem) err() error {
	if p.Error == nil {
		return nil
	}
	return p.Error
}

// code returns the code of an error that JetStream has answered; 0 for other errors.
func code(err error) jetstream.ErrorCode {
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		return e.ErrorCode
	}
	return 0
}

// unavailable is what a server of a cluster answers that knows of no leader.
const unavailable jetstream.ErrorCode = 10008

// api sends a request to JetStream, and reads the answer into a pointer, or nil. A nil
// request has no body. What it asks for may be done twice. While the cluster has no
// leader it tries again.
func (e *Engine) api(ctx context.Context, subject string, request any, answer interface{ err() error }) error {
	ctx, done := e.line.watch(ctx, e.line.wait)
	defer done()
	tries := backoff.Backoff{First: firstDelay, Longest: longestDelay}
	for {
		err := e.try(ctx, subject, request, answer)
		if code(err) != unavailable || !backoff.Pause(ctx, tries.Next()) {
			return err
		}
	}
}

func (e *Engine) try(ctx context.Context, subject string, request any, answer interface{ err() error }) error {
	m := &nats.Msg{Subject: "$JS.API." + subject}
	if request != nil {
		var err error
		if m.Data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	got, err := e.line.ask(ctx, m)
	if err != nil {
		return fmt.Errorf("natslog: %s: %w", subject, err)
	}
	if answer == nil {
		answer = new(problem)
	}
	if err = json.Unmarshal(got.Data, answer); err == nil {
		err = answer.err()
	}
	if err != nil {
		return fmt.Errorf("natslog: %s: %w", subject, err)
	}
	return nil
}

type infoAnswer struct {
	problem
	jetstream.StreamInfo
}

// recently is when the leader of a stream must have heard from most of its replicas, which
// it does every second. One that is cut off from them may have been replaced.
const recently = 3 * time.Second

// alone reports whether the leader may lead no more.
func alone(c *jetstream.ClusterInfo) bool {
	if c == nil {
		return false
	}
	heard := 1
	for _, r := range c.Replicas {
		if r.Active < recently {
			heard++
		}
	}
	return 2*heard <= len(c.Replicas)+1
}

// info returns what the leader of the stream says of it; nil if there is no stream.
func (e *Engine) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	var a infoAnswer
	err := e.api(ctx, "STREAM.INFO."+e.stream, nil, &a)
	if code(err) == jetstream.JSErrCodeStreamNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if alone(a.Cluster) {
		return nil, fmt.Errorf("natslog: server %s leads the stream, but does not reach most of its replicas", a.Cluster.Leader)
	}
	e.room.learn(&a.StreamInfo)
	return &a.StreamInfo, nil
}

type storedMessage struct {
	Subject string `json:"subject"`
	Data    []byte `json:"data"`
}

// message returns a message that the leader of the stream has; nil if it has not, or
// there is no stream. A replica would be faster, but might not have it yet.
func (e *Engine) message(ctx context.Context, pos uint64) (*storedMessage, error) {
	var a struct {
		problem
		Message *storedMessage `json:"message"`
	}
	err := e.api(ctx, "STREAM.MSG.GET."+e.stream, map[string]any{"seq": pos, "no_hdr": true}, &a)
	switch code(err) {
	case jetstream.JSErrCodeMessageNotFound, jetstream.JSErrCodeStreamNotFound:
		return nil, nil
	}
	return a.Message, err
}

type consumerRequest struct {
	Stream string                   `json:"stream_name"`
	Config jetstream.ConsumerConfig `json:"config"`
	Action string                   `json:"action,omitempty"`
}

// load returns a record, or nil if the list does not have it any more.
func (e *Engine) load(ctx context.Context, pos uint64) ([]byte, error) {
	for range 2 {
		m, err := e.message(ctx, pos)
		if err != nil {
			return nil, err
		}
		if m != nil {
			return m.Data, nil
		}
		info, err := e.info(ctx)
		if err != nil || info == nil {
			return nil, err
		}
		if info.State.LastSeq < pos { // who has answered may lead no more
			return nil, fmt.Errorf("natslog: record %d is not there, the stream ends at %d", pos, info.State.LastSeq)
		}
	}
	return nil, nil
}

// each calls fn for 0 to n-1, some at once, and returns one of its errors.
func each(n int, fn func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	places := make(chan struct{}, atOnce)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := fn(i); err != nil {
				mu.Lock()
				first = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
