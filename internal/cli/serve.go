package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/notify"
	"github.com/weirstream/weir/internal/server"
)

// A backend is what serve needs of the server.
type backend interface {
	Start() error                  // binds all listeners
	Listeners() []listener         // after Start
	Run(ctx context.Context) error // serves until ctx ends, then drains

	Reload(now *config.Settings) error // puts other settings into force
	OnReload(fn func() error)          // fn is called when a client asks for that
	OnDrain(fn func())                 // fn is called when Run begins to drain
}

// A listener is an address that is being served. Handler is one of config.Handlers.
type listener struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Handler string `json:"handler"`
}

// newBackend makes the server. Tests put their own in its place.
var newBackend = func(s *config.Settings, log *slog.Logger) (backend, error) {
	srv, err := server.New(s, log)
	return running{srv}, err
}

// running is a server as a backend.
type running struct{ *server.Server }

func (r running) Listeners() (ls []listener) {
	for _, l := range r.Server.Listeners() {
		ls = append(ls, listener(l))
	}
	return ls
}

func serveCommand(s Streams) *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:     "serve",
		Aliases: []string{"start"},
		Short:   "Run the server",
		Long: `Run the server. The listeners are printed when they are ready; logs go to
standard error. On SIGTERM or Ctrl-C readers are told to come back and what is
under way is finished; a second signal ends the program at once. On SIGHUP settings,
keys and certificates are read again: see weir reload.

Every flag below --quiet can also be given as a variable (--hub.max-message as
WEIR_HUB_MAX_MESSAGE) or in the file that --config names.`,
		Example: `  weir serve
  weir serve --listen 127.0.0.1:8080,unix:/run/weir.sock
  weir serve --listen 0.0.0.0:8288 --access.secret-file secret
  weir serve --listen tls:0.0.0.0:443 --tls.cert-file cert.pem --tls.key-file key.pem --access.api-keys-file keys`,
		Args: arguments(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the listeners as JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not print the listeners")
	sf := addSettingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := sf.load(s)
		if err != nil {
			return err
		}
		log, level := newLogger(s.Err, loaded.Settings.Log)
		b, err := newBackend(loaded.Settings, log)
		if err != nil {
			return err
		}
		manager := notify.Open(s.lookup, log)
		again := &reloader{s: s, flags: sf, to: b, manager: manager, log: log, level: level, inUse: loaded.Values}
		b.OnReload(again.reload)
		show := s.Out
		if quiet {
			show = io.Discard
		}
		return run(cmd.Context(), b, again, func() error { return announce(show, asJSON, b.Listeners(), loaded) })
	}
	return cmd
}

// run starts a server and runs it until ctx ends. It tells the user, by announce, and the
// service manager.
func run(ctx context.Context, b backend, again *reloader, announce func() error) error {
	hangups, restore := again.hangups() // at once: until then the signal ends the program
	defer restore()
	if err := b.Start(); err != nil {
		return err
	}
	if err := announce(); err != nil {
		err = fmt.Errorf("print the listeners: %w", err)
		return errors.Join(err, b.Run(ended(ctx)))
	}
	b.OnDrain(func() { again.manager.Stopping("draining") })
	again.manager.Ready(serving(b.Listeners()))
	drained, finish := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { again.manager.KeepAlive(drained) })
	beside.Go(func() { again.onSignals(ctx, hangups) })
	err := b.Run(ctx)
	finish()
	stop()
	beside.Wait()
	return err
}

// serving is the status of a server that is well.
func serving(ls []listener) string {
	urls := make([]string, len(ls))
	for i, l := range ls {
		urls[i] = l.URL
	}
	return "serving " + strings.Join(urls, ", ")
}

// ended returns a context that is over: a backend that has started is stopped by
// running it for no time.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// newLogger returns a logger whose level may be changed.
func newLogger(w io.Writer, l config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	setLevel(level, l.Level)
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

// setLevel sets a level by its name, which config has checked.
func setLevel(v *slog.LevelVar, name string) {
	var level slog.Level
	if level.UnmarshalText([]byte(name)) == nil {
		v.Set(level)
	}
}

// announce prints where the server can be reached and what it keeps.
func announce(w io.Writer, asJSON bool, ls []listener, loaded *config.Loaded) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"listeners": ls})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "weir %s\n\n", readBuild().Version)
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "LISTENER\tURL\tHANDLER\tSTATE")
	for _, l := range ls {
		fmt.Fprintf(t, "%s\t%s\t%s\tready\n", l.Name, l.URL, l.Handler)
	}
	writeKept(t, loaded.Settings)
	t.Flush()
	writeHints(&b, ls, loaded.Settings)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKept writes a table of what is kept, and where.
func writeKept(w io.Writer, s *config.Settings) {
	onDisk := ""
	if s.Data != "" {
		onDisk = "\tDURABILITY"
	}
	fmt.Fprintln(w, "\nTOPICS\tMESSAGES\tAGE\tBYTES"+onDisk)
	h := s.History
	others := config.TopicRule{Topic: "all others", MaxMessages: h.MaxMessages, MaxAge: h.MaxAge, MaxBytes: h.MaxBytes, Durability: s.Disk.Durability}
	for _, r := range append(h.Topics, others) {
		if s.Data == "" {
			r.Durability = ""
		}
		fmt.Fprintln(w, kept(r))
	}
	switch {
	case s.Nodes.Log != "":
		fmt.Fprintf(w, "\nkept at %s, for all nodes\n", s.Nodes.Place())
	case s.Data != "":
		fmt.Fprintf(w, "\nkept in %s\n", s.Data)
	default:
		fmt.Fprintln(w, "\nkept in memory; --data DIR keeps messages over restarts")
	}
}

// kept returns the cells of a row. The last is left out if there is no durability.
func kept(r config.TopicRule) string {
	cells := []string{r.Topic, strconv.Itoa(r.MaxMessages), config.FormatDuration(r.MaxAge), config.FormatSize(r.MaxBytes)}
	for i, cell := range cells {
		if cell == "0" {
			cells[i] = "no limit"
		}
	}
	if r.MaxMessages < 0 {
		cells = []string{r.Topic, "none", "-", "-"}
	}
	if r.Durability != "" {
		cells = append(cells, r.Durability)
	}
	return strings.Join(cells, "\t")
}

// writeHints tells what to try first, with the first address that takes it.
func writeHints(b *strings.Builder, ls []listener, set *config.Settings) {
	curl := "curl"
	if set.Access.On() {
		curl = `curl -H "Authorization: Bearer $TOKEN"`
	}
	for _, l := range ls {
		if l.Handler == "page" || l.Handler == "admin" || !strings.HasPrefix(l.URL, "http") {
			continue
		}
		url := strings.TrimSuffix(l.URL, "/")
		fmt.Fprintf(b, "\nread:     %s -N %s/v1/topics/greetings\npublish:  %s -d hello %s/v1/topics/greetings\n", curl, url, curl, url)
		return
	}
}
