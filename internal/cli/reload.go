package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/notify"
	"github.com/weirstream/weir/internal/server"
)

func reloadCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a server read its settings, keys and certificates again",
		Long: `Have a running server read its settings, keys and certificates again, like the
signal HUP does. Streams stay open. --server is the URL of a listener of kind admin.

Settings of the groups access and limits, and log.level, take effect at once; the
server's log names those that need a restart. If something is wrong, the server says
what, and goes on as before.`,
		Example: `  weir reload --server http://127.0.0.1:9100`,
		Args:    arguments(cobra.NoArgs),
	}
	to := addServerFlags(cmd, s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(*to)
		if err != nil {
			return err
		}
		defer c.close()
		return c.reload(cmd.Context())
	}
	return cmd
}

func (c *client) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("timed out after %v", time.Minute))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/reload", nil)
	if err != nil {
		return err
	}
	resp, err := c.do(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// A reloader reads settings again for a server that runs.
type reloader struct {
	s       Streams
	flags   *settingFlags
	to      backend
	manager *notify.Manager
	log     *slog.Logger
	level   *slog.LevelVar

	mu    sync.Mutex
	inUse []config.Value // guarded by mu; what the server goes by
}

// reload reads all settings and hands them to the server. The log and the service manager
// are told what became of it.
func (r *reloader) reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manager.Reloading()
	err := r.read()
	r.manager.Reloaded(err)
	if err != nil {
		r.log.Error("settings not reloaded", "error", err)
	}
	return err
}

func (r *reloader) read() error {
	loaded, err := r.flags.load(r.s)
	if err == nil {
		err = r.to.Reload(loaded.Settings)
	}
	if err != nil {
		return err
	}
	setLevel(r.level, loaded.Settings.Log.Level)
	r.log.Info("settings reloaded")
	if waiting := r.needRestart(loaded.Values); len(waiting) > 0 {
		r.log.Warn("settings that take effect with the next start", "settings", strings.Join(waiting, ","))
	}
	return nil
}

// needRestart returns the names of settings that differ and are not in force, and
// remembers those that are.
func (r *reloader) needRestart(now []config.Value) (names []string) {
	for i, v := range now {
		switch {
		case server.Reloads(v.Name) || v.Name == "log.level":
			r.inUse[i] = v
		case r.inUse[i].Text != v.Text:
			names = append(names, v.Name)
		}
	}
	return names
}

// hangups begins to listen for the signal that asks for a reload, until stop is called.
func (r *reloader) hangups() (signals <-chan os.Signal, stop func()) {
	if r.s.Hangups == nil {
		return nil, func() {}
	}
	return r.s.Hangups()
}

// onSignals reloads for each signal, until ctx ends.
func (r *reloader) onSignals(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = r.reload() // the log has it
		}
	}
}
