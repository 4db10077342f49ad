package feeds_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/proctest"
)

// A play is a directory as a user has it, with weir that was started there, and the
// server that its feeds read from.
type play struct {
	t    *testing.T
	dir  string
	env  []string          // which programs have besides the test's
	text *strings.Replacer // puts the addresses of the play into files
	addr string            // of weir
	weir *proctest.Process
}

// newPlay starts the server that the settings name, and writes them to weir.yaml.
func newPlay(t *testing.T, settings string) *play {
	t.Helper()
	at := startServer(t, settings)
	p := &play{t: t, dir: t.TempDir(), env: at.env, addr: proctest.FreeAddr()}
	p.text = strings.NewReplacer(append(at.replace, "127.0.0.1:8080", p.addr)...)
	p.write("weir.yaml", settings)
	return p
}

// write writes a file with the addresses of the play.
func (p *play) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(p.text.Replace(text)), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run runs lines of the shell until the first that fails.
func (p *play) run(lines string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", p.text.Replace(lines))
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	cmd.WaitDelay = time.Second // a child may hold the pipes
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s\n%v\n%s", cmd.Args[3], err, out)
	}
}

// serve starts weir, and waits until it listens.
func (p *play) serve() {
	p.t.Helper()
	p.weir = proctest.Launch{Dir: p.dir, Env: p.env, Args: []string{weirPath, "serve", "--config", "weir.yaml", "--listen", p.addr}}.Start(p.t)
	p.weir.Await(p.t, feedtest.Patience, func() error {
		_, err := p.get("/healthz")
		return err
	})
}

var feedRunning = regexp.MustCompile(`(?m)^weir_feed_running\{feed="(.*)"\} (.*)$`)

// awaitFeeds waits until all feeds have their sources.
func (p *play) awaitFeeds() {
	p.t.Helper()
	feedtest.Await(p.t, "the feeds", func() error {
		figures, err := p.get("/metrics")
		feeds := feedRunning.FindAllStringSubmatch(figures, -1)
		if err != nil || len(feeds) == 0 {
			return fmt.Errorf("no figures of feeds: %v", err)
		}
		for _, f := range feeds {
			if f[2] != "1" {
				return fmt.Errorf("%s is not running", f[1])
			}
		}
		return nil
	})
}

var feedPublished = regexp.MustCompile(`(?m)^weir_feed_published_total\{.*\} (\d+)$`)

// awaitPublished waits until all feeds together have published so many messages.
func (p *play) awaitPublished(want int) {
	p.t.Helper()
	feedtest.Await(p.t, "the figures", func() error {
		figures, err := p.get("/metrics")
		sum := 0
		for _, f := range feedPublished.FindAllStringSubmatch(figures, -1) {
			n, _ := strconv.Atoi(f[1])
			sum += n
		}
		if err == nil && sum != want {
			err = fmt.Errorf("%d messages are published, want %d", sum, want)
		}
		return err
	})
}

func (p *play) get(path string) (string, error) {
	resp, err := http.Get("http://" + p.addr + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return string(body), err
}

// end stops weir as Ctrl-C does.
func (p *play) end() {
	p.t.Helper()
	if err := p.weir.Stop(feedtest.Patience); err != nil {
		p.t.Error(err)
	}
}
