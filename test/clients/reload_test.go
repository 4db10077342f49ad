package clients_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKeysAndLogLevelAreReloadedUnderOpenStreams changes the files of a server that
// runs, by signal and by command.
func TestKeysAndLogLevelAreReloadedUnderOpenStreams(t *testing.T) {
	t.Parallel()
	dir, admin := t.TempDir(), freeAddr(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const old, next = "the-first-key-of-this-test-0123456789", "the-second-key-of-this-test-0123456789"
	write("keys", "a:"+old+" publish=** subscribe=**\n")
	addr := freeAddr(t)
	settings := "log: {level: info}\naccess: {api-keys-file: " + filepath.Join(dir, "keys") + "}\n" +
		"listen:\n  main: {listen: \"" + addr + "\"}\n  admin: {listen: \"" + admin + "\", handler: admin}\n"
	file := write("weir.yaml", settings)
	p := start(t, weirPath, "serve", "--config", file)
	p.awaitText(&p.out, "ready")
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
	reader := launch{env: []string{"WEIR_TOKEN=" + old}, args: []string{weirPath, "sub", "--server", "http://" + addr, "a"}}.start(t)
	defer reader.kill()
	p.await(func() error { return wantOneStream("http://" + admin + "/metrics") })

	write("keys", "b:"+next+" publish=** subscribe=**\n")
	write("weir.yaml", strings.Replace(settings, "level: info", "level: debug", 1))
	p.signal(syscall.SIGHUP)
	p.awaitText(&p.err, "settings reloaded")
	check("after SIGHUP", 401, 200)
	pub := launch{env: []string{"WEIR_TOKEN=" + next}, args: []string{weirPath, "pub", "--server", "http://" + addr, "a", "still here"}}.start(t)
	if code := pub.code(); code != 0 {
		t.Fatalf("pub exits with %d: %s", code, pub.err.String())
	}
	reader.awaitText(&reader.out, "still here")

	write("keys", "b:short\n")
	reload := start(t, weirPath, "reload", "--server", "http://"+admin)
	if code := reload.code(); code == 0 || !strings.Contains(reload.err.String(), "bad_settings") {
		t.Errorf("reload with a bad file exits with %d: %q", code, reload.err.String())
	}
	check("after a bad file", 401, 200)

	write("keys", "a:"+old+" publish=** subscribe=**\n")
	reload = start(t, weirPath, "reload", "--server", "http://"+admin)
	if code := reload.code(); code != 0 {
		t.Errorf("reload exits with %d: %q", code, reload.err.String())
	}
	check("after the command", 200, 401)
}

// wantOneStream looks for one open stream in a server's metrics.
func wantOneStream(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "\nweir_connections 1\n") {
		err = errors.New("not one stream")
	}
	return err
}
