package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/backoff"
)

// pubOptions are the flags of pub.
type pubOptions struct {
	target      *target
	form        form
	retry       time.Duration
	json, quiet bool
}

func pubCommand(s Streams) *cobra.Command {
	var o pubOptions
	cmd := &cobra.Command{
		Use:   "pub TOPIC [DATA]",
		Short: "Publish DATA, or each line of standard input",
		Long: `Publish DATA as one message and print its ID. Without DATA every line of
standard input is a message, published as it arrives.

With --json each input line is a JSON object with the fields topic or topics,
data, base64, type, id, key, state, retry and idempotency_key; TOPIC may then be left
out.

If the server goes away, pub keeps what is not acknowledged, tries again and
says so. Each message has an idempotency key, so what only seemed lost is not
published twice. If the server is not there to begin with, pub waits for it for
30 seconds, or as --retry says.`,
		Example: `  weir pub greetings hello
  tail -F app.log | weir pub logs
  vmstat 1 | weir pub machine/vmstat`,
		Args: arguments(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return pub(cmd.Context(), s, o, args) },
	}
	o.target = addServerFlags(cmd, s)
	cmd.Flags().StringVar(&o.form.Type, "type", "", "event type of the messages")
	cmd.Flags().StringVar(&o.form.ID, "id", "", "ID of the message instead of one the server makes; needs DATA")
	cmd.Flags().StringVar(&o.form.Key, "key", "", "what the messages are about, for readers that want the newest of each key")
	cmd.Flags().BoolVar(&o.form.State, "state", false, "the messages are the state of their key: the topic keeps the newest of each")
	cmd.Flags().DurationVar(&o.retry, "retry", 30*time.Second, "how long to try until the first message is published; 0 tries once")
	cmd.Flags().BoolVar(&o.json, "json", false, "read JSON objects, print the result as JSON")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but errors")
	return cmd
}

func pub(ctx context.Context, s Streams, o pubOptions, args []string) error {
	switch {
	case len(args) == 0 && !o.json:
		return usage("no topic; usage: weir pub TOPIC [DATA]")
	case len(args) > 0 && args[0] == "":
		return usage("the topic is empty")
	case len(args) < 2 && o.form.ID != "":
		return usage("--id needs DATA: an ID belongs to one message")
	case o.retry < 0:
		return usage("--retry %v is below the limit 0", o.retry)
	}
	if len(args) > 0 {
		o.form.Topic = args[0]
	}
	c, err := newClient(*o.target)
	if err != nil {
		return err
	}
	defer c.close()
	if len(args) == 2 {
		return pubOne(ctx, s, c, o, args[1])
	}
	return pubLines(ctx, s, c, o)
}

// publisher returns one that has published nothing.
func (o pubOptions) publisher(c *client, n *notes) *publisher {
	return &publisher{client: c, notes: n, tooBig: !o.json, keys: rand.Text(), retry: o.retry}
}

// pubOne publishes data as one message.
func pubOne(ctx context.Context, s Streams, c *client, o pubOptions, data string) error {
	message, err := o.form.text([]byte(data))
	if err != nil {
		return err
	}
	p := o.publisher(c, &notes{w: s.Err, prefix: "weir: pub", quiet: o.quiet})
	p.tooBig = false
	err = p.deliver(ctx, []line{{number: 1, json: message}})
	if bad, ok := errors.AsType[*lineError](err); ok {
		return bad.err // there is only one line
	}
	switch {
	case err != nil:
		return err
	case o.json:
		return json.NewEncoder(s.Out).Encode(map[string]string{"id": p.lastID})
	case !o.quiet:
		_, err = fmt.Fprintln(s.Out, p.lastID)
	}
	return err
}

// pubLines publishes standard input and then tells how much that was, also if it
// could not go on.
func pubLines(ctx context.Context, s Streams, c *client, o pubOptions) error {
	encode := o.form.text
	if o.json {
		encode = o.form.object
	}
	n := &notes{w: s.Err, prefix: "weir: pub", quiet: o.quiet, live: isTerminal(s.Err)}
	if isTerminal(s.In) {
		n.say("each line you type is a message; end with Ctrl-D")
	}
	p := o.publisher(c, n)
	start := time.Now()
	err := p.all(ctx, s.In, encode)
	n.erase()
	n.live = false
	if !p.connected && err != nil {
		return err
	}
	if p.refused > 0 && err == nil {
		err = fmt.Errorf("%d lines were too large and are left out", p.refused)
	}
	if o.json {
		result := map[string]any{"published": p.published, "refused": p.refused, "last_id": p.lastID}
		if bad := json.NewEncoder(s.Out).Encode(result); err == nil {
			err = bad
		}
		return err
	}
	n.say("%d published in %v", p.published, time.Since(start).Round(time.Millisecond))
	return err
}

// all publishes r. When ctx ends it takes no more input but has lastChance to
// publish what was read.
func (p *publisher) all(ctx context.Context, r io.Reader, encode func([]byte) ([]byte, error)) error {
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	defer context.AfterFunc(ctx, func() {
		if backoff.Pause(sending, lastChance) {
			stopSending()
		}
	})()
	f := startFeed(reading, r, encode)
	err := p.run(sending, f)
	stopReading()
	for b := range f.batches { // lets the feed end
		p.unsent += len(b)
	}
	if errors.Is(err, errInterrupted) && p.unsent > 0 {
		return fmt.Errorf("%w: %d lines that were read are not published", err, p.unsent)
	}
	return err
}
