package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/weirstream/weir/internal/feed"
)

// list delivers the elements of a list.
func (s *Source) list(ctx context.Context, in *feed.Intake, client rueidis.Client) error {
	l := &list{Source: s, in: in, client: client, from: s.spec.List, end: "LEFT"}
	if s.spec.Pop == "right" {
		l.end = "RIGHT"
	}
	l.to = l.second()
	if err := l.settle(); err != nil {
		return err
	}
	if err := l.recover(ctx); err != nil {
		return err
	}
	in.Running()
	for ctx.Err() == nil {
		values, err := l.next()
		if err != nil {
			return err
		}
		if err := l.deliver(ctx, values); err != nil {
			return err
		}
	}
	return nil
}

// A list is one that is read.
type list struct {
	*Source
	in       *feed.Intake
	client   rueidis.Client
	from, to string // keys; what is moved to "to" is the feed's until it is in the log
	end      string // of from that is read
}

// second is the key of the second list. In a cluster it is on the same node.
func (l *list) second() string {
	key := l.from
	if !strings.Contains(key, "{") {
		key = "{" + key + "}"
	}
	return fmt.Sprintf("%s:weir:%s:%s", key, l.in.Name(), l.consumer)
}

// settle removes what an earlier connection may not have removed.
func (l *list) settle() error {
	if len(l.unsettled) == 0 {
		return nil
	}
	remove := make(rueidis.Commands, len(l.unsettled))
	for i, value := range l.unsettled {
		remove[i] = l.client.B().Lrem().Key(l.to).Count(1).Element(value).Build()
	}
	for _, result := range doAll(l.in, l.client, remove) {
		if err := result.Error(); err != nil {
			return fmt.Errorf("remove from %q: %w", l.to, err)
		}
	}
	l.unsettled = nil
	return nil
}

// recover delivers what was moved and not removed.
func (l *list) recover(ctx context.Context) error {
	for ctx.Err() == nil {
		values, err := do(l.in, l.client, l.client.B().Lrange().Key(l.to).Start(0).Stop(int64(l.batch)-1).Build()).AsStrSlice()
		if err != nil {
			return fmt.Errorf("read %q: %w", l.to, err)
		}
		if len(values) == 0 {
			return nil
		}
		l.in.Running()
		if err := l.deliver(ctx, values); err != nil {
			return err
		}
	}
	return nil
}

// next moves what is there, or waits a moment.
func (l *list) next() (values []string, err error) {
	first, err := do(l.in, l.client, l.client.B().Arbitrary("BLMOVE").Keys(l.from, l.to).Args(l.end, "RIGHT", fmt.Sprint(wait.Seconds())).Blocking()).ToString()
	if rueidis.IsRedisNil(err) {
		l.in.Lag(0)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("move from %q: %w", l.from, err)
	}
	more, err := do(l.in, l.client, l.client.B().Llen().Key(l.from).Build()).AsInt64()
	if err != nil {
		return nil, err
	}
	move := make(rueidis.Commands, min(more, int64(l.batch)-1))
	for i := range move {
		move[i] = l.client.B().Arbitrary("LMOVE").Keys(l.from, l.to).Args(l.end, "RIGHT").Build()
	}
	l.in.Lag(more - int64(len(move)))
	values = append(values, first)
	for _, result := range doAll(l.in, l.client, move) {
		value, err := result.ToString()
		if nothing(err) != nil {
			return nil, fmt.Errorf("move from %q: %w", l.from, err)
		}
		if err == nil { // others may read, too
			values = append(values, value)
		}
	}
	return values, nil
}

// deliver delivers elements of the second list, and removes them from it.
func (l *list) deliver(ctx context.Context, values []string) error {
	if len(values) == 0 {
		return nil
	}
	messages := make([]feed.Message, len(values))
	for i, value := range values {
		messages[i] = feed.Message{Body: []byte(value), Key: l.from}
	}
	if err := l.in.Deliver(ctx, messages, nil); err != nil {
		return err
	}
	l.unsettled = values
	return l.settle()
}

// every reports whether d has passed since *last, and if so sets it to now.
func every(d time.Duration, last *time.Time) bool {
	if time.Since(*last) < d {
		return false
	}
	*last = time.Now()
	return true
}
