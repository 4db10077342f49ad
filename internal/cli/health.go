package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds the question. Those who ask this way give up themselves later.
const healthTimeout = 5 * time.Second

func healthCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell whether a server is ready, for containers",
		Long: `Ask a server whether requests should be sent to it (/readyz). The exit code is 0 if
so, else 1: nobody answers within 5 seconds, the server drains, or its log has failed.
No token is needed.`,
		Example: `  weir health
  weir health --server http://127.0.0.1:9100`,
		Args: arguments(cobra.NoArgs),
	}
	var to target
	addServerFlag(cmd, s, &to.server)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(to)
		if err != nil {
			return err
		}
		defer c.close()
		if err := c.ready(cmd.Context()); err != nil {
			return fmt.Errorf("%v", err) // so that the exit code is 1, whatever it is
		}
		_, err = fmt.Fprintln(s.Out, c.server, "is ready")
		return err
	}
	return cmd
}

// ready returns why a server is not ready, or nil.
func (c *client) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, fmt.Errorf("timed out after %v", healthTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	reason, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // the status says enough
	return fmt.Errorf("%s is not ready: %s: %s", c.server, resp.Status, printable(strings.TrimSpace(string(reason))))
}
