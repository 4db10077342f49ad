package webhook_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/webhook"
	"github.com/weirstream/weir/internal/proctest"
)

// childDir and childAddr tell the test program that it is to be a server, with its log in
// a directory and at an address.
const childDir, childAddr = "WEBHOOK_TEST_DIR", "WEBHOOK_TEST_ADDR"

// child serves until it is killed.
func child(dir string) {
	log, err := disklog.Open(filepath.Join(dir, "log"), disklog.Options{})
	if err != nil {
		panic(err)
	}
	h, err := hub.New(hub.Options{Log: log})
	if err != nil {
		panic(err)
	}
	spec := feed.Spec{Name: "test", Webhook: "standard", SecretFile: filepath.Join(dir, "secret"), Topic: "in"}
	source := webhook.New(spec)
	f, err := feed.New(feed.Options{Spec: spec, Source: source, Hub: h, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	go f.Run(context.Background())
	panic(http.ListenAndServe(os.Getenv(childAddr), source))
}

// TestKilledWhileMessagesFlow kills the server three times. Senders send again what was
// not answered, so all is there, and nothing twice.
func TestKilledWhileMessagesFlow(t *testing.T) {
	dir, addr := t.TempDir(), proctest.FreeAddr()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *proctest.Process {
		p, err := proctest.Launch{Args: os.Args[:1], Env: []string{childDir + "=" + dir, childAddr + "=" + addr}}.Spawn()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	h := &hook{t: t, url: "http://" + addr, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 5 * time.Second}}
	t.Cleanup(h.client.CloseIdleConnections)
	const senders, each, kills = 20, 75, 3
	var group sync.WaitGroup
	sent := make(chan string, senders*each)
	for i := range senders {
		group.Go(func() {
			for n := range each {
				body := fmt.Sprint(i*each + n)
				h.send("msg_"+body, body)
				sent <- body
			}
		})
	}
	for i := range kills {
		p := start()
		p.Await(t, feedtest.Patience, func() error {
			return feedtest.Not(len(sent) > (i+1)*senders*each/(kills+2), "%d", len(sent))
		})
		p.Kill()
	}
	p := start()
	group.Wait()
	p.Kill()
	got := dataIn(t, filepath.Join(dir, "log"))
	if want := feedtest.Numbers(0, senders*each); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the log has %d messages, want %d, each once", len(got), len(want))
	}
}

// dataIn returns what the log in a directory has of the topic in.
func dataIn(t *testing.T, dir string) (data []string) {
	t.Helper()
	log, err := disklog.Open(dir, disklog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	sel, err := eventlog.Select("in")
	if err != nil {
		t.Fatal(err)
	}
	for after := uint64(0); ; {
		page, err := log.Read(t.Context(), sel, after, log.Head(), eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			data = append(data, string(e.Data))
		}
		if page.Next == after {
			return data
		}
		after = page.Next
	}
}
