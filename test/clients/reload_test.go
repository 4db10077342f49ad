package clients_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// TestKeysAndLogLevelAreReloadedUnderOpenStreams changes the files of a server that
// runs, by signal and by command.
func TestKeysAndLogLevelAreReloadedUnderOpenStreams(t *testing.T) {
	t.Parallel()
	dir, admin := t.TempDir(), proctest.FreeAddr()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const old, next = "the-first-key-of-this-test-0123456789", "the-second-key-of-this-test-0123456789"
	write("keys", "a:"+old+" publish=** subscribe=**\n")
	addr := proctest.FreeAddr()
	settings := "log: {level: info}\naccess: {api-keys-file: " + filepath.Join(dir, "keys") + "}\n" +
		"listen:\n  main: {listen: \"" + addr + "\"}\n  admin: {listen: \"" + admin + "\", handler: admin}\n"
	file := write("weir.yaml", settings)
	p := start(t, weirPath, "serve", "--config", file)
	p.awaitText(p.Out, "ready")
	status := func(key string) (code int) {
		req, err := http.NewRequest("GET", "http://"+addr+"/v1/topics/a?wait=0s", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	check := func(when string, first, second int) {
		t.Helper()
		if a, b := status(old), status(next); a != first || b != second {
			t.Errorf("%s: the first key gets %d, the second %d; want %d and %d", when, a, b, first, second)
		}
	}
	check("at the start", 200, 401)
	reader := launch(t, proctest.Launch{Env: []string{"WEIR_TOKEN=" + old}, Args: []string{weirPath, "sub", "--server", "http://" + addr, "a"}})
	defer reader.Kill()
	p.await(func() error { return wantOneStream("http://" + admin) })

	write("keys", "b:"+next+" publish=** subscribe=**\n")
	write("weir.yaml", strings.Replace(settings, "level: info", "level: debug", 1))
	p.signal(syscall.SIGHUP)
	p.awaitText(p.Err, "settings reloaded")
	check("after SIGHUP", 401, 200)
	pub := launch(t, proctest.Launch{Env: []string{"WEIR_TOKEN=" + next}, Args: []string{weirPath, "pub", "--server", "http://" + addr, "a", "still here"}})
	if code := pub.code(); code != 0 {
		t.Fatalf("pub exits with %d: %s", code, pub.Err.String())
	}
	reader.awaitText(reader.Out, "still here")

	write("keys", "b:short\n")
	reload := start(t, weirPath, "reload", "--server", "http://"+admin)
	if code := reload.code(); code == 0 || !strings.Contains(reload.Err.String(), "bad_settings") {
		t.Errorf("reload with a bad file exits with %d: %q", code, reload.Err.String())
	}
	check("after a bad file", 401, 200)

	write("keys", "a:"+old+" publish=** subscribe=**\n")
	reload = start(t, weirPath, "reload", "--server", "http://"+admin)
	if code := reload.code(); code != 0 {
		t.Errorf("reload exits with %d: %q", code, reload.Err.String())
	}
	check("after the command", 200, 401)
}

// wantOneStream looks for one open stream in a server's metrics.
func wantOneStream(url string) error {
	n, err := proctest.Metric(http.DefaultClient, url, "weir_connections")
	if err == nil && n != 1 {
		err = fmt.Errorf("%v streams, want 1", n)
	}
	return err
}
