package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// maxOutdated is how many filters of earlier settings are remembered.
const maxOutdated = 100

// onlyNew is the Retain Handling by which the server sends what it retains for filters
// that the session does not have yet.
const onlyNew = 1

// filters reads the filters that feeds of this name have had, which the server's session
// may still hold. It returns those that are outdated, and what to store now; nil if that
// is stored already.
func (s *Source) filters(stored []byte) (outdated []string, store []byte) {
	var before []string
	_ = json.Unmarshal(stored, &before) // at first there are none
	for _, f := range before {
		if !slices.Contains(s.spec.Subscribe, f) {
			outdated = append(outdated, f)
		}
	}
	outdated = outdated[max(0, len(outdated)-maxOutdated):]
	now := slices.Concat(outdated, s.spec.Subscribe)
	if slices.Equal(now, before) {
		return outdated, nil
	}
	store, _ = json.Marshal(now) // texts can always be written
	return outdated, store
}

// subscribe makes the filters of the session those of the settings. It closes
// c.subscribed, or tells lost.
func (c *consumption) subscribe(ctx context.Context, outdated []string) {
	err := c.unsubscribe(ctx, outdated)
	if err == nil {
		err = c.request(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("subscribe: no answer within %v", answerTimeout)
	}
	if err != nil {
		c.lost(err)
		return
	}
	close(c.subscribed)
}

func (c *consumption) unsubscribe(ctx context.Context, outdated []string) error {
	if len(outdated) == 0 {
		return nil
	}
	answer, err := c.client.Unsubscribe(ctx, &paho.Unsubscribe{Topics: outdated})
	if answer != nil {
		return nil // at worst there is more to read
	}
	return err
}

// request subscribes to the filters.
func (c *consumption) request(ctx context.Context) error {
	want := &paho.Subscribe{}
	for _, f := range c.spec.Subscribe {
		want.Subscriptions = append(want.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: c.qos, RetainHandling: onlyNew})
	}
	answer, err := c.client.Subscribe(ctx, want)
	if answer == nil {
		return err
	}
	if len(answer.Reasons) != len(c.spec.Subscribe) {
		return fmt.Errorf("subscribe: the server has answered for %d filters of %d", len(answer.Reasons), len(c.spec.Subscribe))
	}
	for i, code := range answer.Reasons {
		switch {
		case code >= packets.SubackUnspecifiederror:
			text := (&packets.Disconnect{ReasonCode: code}).Reason() // which has those of SUBACK
			return fmt.Errorf("subscribe to %q: %w", c.spec.Subscribe[i], refusal(text, code, answer.Properties.ReasonString))
		case code < c.qos:
			return fmt.Errorf("subscribe to %q: the server has no QoS higher than %d; set qos: %d", c.spec.Subscribe[i], code, code)
		}
	}
	return nil
}
