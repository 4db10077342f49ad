package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/weirstream/weir/internal/feed"
)

const (
	stale      = time.Minute // after which another consumer's entries are taken over
	claimEvery = 15 * time.Second
)

// stream delivers the entries of a stream.
func (s *Source) stream(ctx context.Context, in *feed.Intake, client rueidis.Client) error {
	r := &stream{Source: s, in: in, client: client}
	if err := r.declare(); err != nil {
		return err
	}
	for { // what an earlier connection was given
		n, err := r.read(ctx, "0", false)
		if err != nil {
			return err
		}
		in.Running()
		if n == 0 || ctx.Err() != nil {
			break
		}
	}
	for ctx.Err() == nil {
		if every(claimEvery, &r.claimed) {
			if err := r.claim(ctx); err != nil {
				return err
			}
		}
		if every(lagEvery, &r.asked) {
			r.lag()
		}
		if _, err := r.read(ctx, ">", true); err != nil {
			return err
		}
	}
	return nil
}

// A stream is one that is read.
type stream struct {
	*Source
	in      *feed.Intake
	client  rueidis.Client
	claimed time.Time // when claim was called
	asked   time.Time // when lag was called
}

// declare makes the group, and the stream, if it is told to.
func (r *stream) declare() error {
	if !r.spec.Declare {
		return nil
	}
	start := "0"
	if r.spec.Start == "end" {
		start = "$"
	}
	err := do(r.in, r.client, r.client.B().XgroupCreate().Key(r.spec.Stream).Group(r.group).Id(start).Mkstream().Build()).Error()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("create group %q of %q: %w", r.group, r.spec.Stream, err)
	}
	return nil
}

// read delivers entries after an ID, and reports how many there were. ">" stands for
// those that no consumer was given; otherwise it reads those that this one was given
// and has not acknowledged.
func (r *stream) read(ctx context.Context, after string, block bool) (int, error) {
	args := []string{"GROUP", r.group, r.consumer, "COUNT", strconv.Itoa(r.batch)}
	if block {
		args = append(args, "BLOCK", strconv.FormatInt(wait.Milliseconds(), 10))
	}
	command := r.client.B().Arbitrary("XREADGROUP").Args(append(args, "STREAMS")...).Keys(r.spec.Stream).Args(after)
	result := do(r.in, r.client, command.Blocking())
	streams, err := result.AsXReadSlices()
	if nothing(err) != nil {
		return 0, fmt.Errorf("read %q: %w", r.spec.Stream, err)
	}
	entries := streams[r.spec.Stream]
	return len(entries), r.deliver(ctx, entries)
}

// claim delivers entries of consumers that have been silent for long.
func (r *stream) claim(ctx context.Context) error {
	for cursor := "0-0"; ctx.Err() == nil; {
		command := r.client.B().Xautoclaim().Key(r.spec.Stream).Group(r.group).Consumer(r.consumer).
			MinIdleTime(strconv.FormatInt(stale.Milliseconds(), 10)).Start(cursor).Count(int64(r.batch))
		parts, err := do(r.in, r.client, command.Build()).ToArray()
		if err != nil {
			return fmt.Errorf("take over entries of %q: %w", r.spec.Stream, err)
		}
		if len(parts) < 2 {
			return fmt.Errorf("take over entries of %q: the answer has %d parts, want 2 or more", r.spec.Stream, len(parts))
		}
		entries, err := parts[1].AsXRangeSlices()
		if err != nil {
			return err
		}
		if err := r.deliver(ctx, entries); err != nil {
			return err
		}
		if cursor, err = parts[0].ToString(); err != nil || cursor == "0-0" {
			return err
		}
	}
	return nil
}

// deliver delivers entries and acknowledges them. One without fields has been deleted.
func (r *stream) deliver(ctx context.Context, entries []rueidis.XRangeSlice) error {
	if len(entries) == 0 {
		return nil
	}
	ids := make([]string, len(entries))
	messages := make([]feed.Message, 0, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
		if len(e.FieldValues) > 0 {
			messages = append(messages, r.message(e))
		}
	}
	if err := r.in.Deliver(ctx, messages, nil); err != nil {
		return err
	}
	err := do(r.in, r.client, r.client.B().Xack().Key(r.spec.Stream).Group(r.group).Id(ids...).Build()).Error()
	if err != nil {
		return fmt.Errorf("acknowledge entries of %q: %w", r.spec.Stream, err)
	}
	return nil
}

// message is an entry. Its body is a JSON object with the fields, which are texts.
func (r *stream) message(e rueidis.XRangeSlice) feed.Message {
	m := feed.Message{ID: e.ID, Key: r.spec.Stream, Headers: make(map[string]string, len(e.FieldValues))}
	separator := byte('{')
	for _, f := range e.FieldValues {
		m.Headers[f.Field] = f.Value
		m.Body = append(m.Body, separator)
		m.Body = feed.AppendText(append(feed.AppendText(m.Body, f.Field), ':'), f.Value)
		separator = ','
	}
	m.Body = append(m.Body, '}')
	return m
}

// lag asks how many entries no consumer was given.
func (r *stream) lag() {
	groups, err := do(r.in, r.client, r.client.B().XinfoGroups().Key(r.spec.Stream).Build()).ToArray()
	if err != nil {
		return // it is only a figure
	}
	for _, g := range groups {
		fields, err := g.AsMap()
		if err != nil {
			return
		}
		name, lag := fields["name"], fields["lag"]
		if text, _ := name.ToString(); text != r.group {
			continue
		}
		if n, err := lag.AsInt64(); err == nil { // servers before 7.0 do not say, others not always
			r.in.Lag(n)
		}
	}
}
