package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/server"
)

// TestReloadChangesKeysAndLimits while streams stay open.
func TestReloadChangesKeysAndLimits(t *testing.T) {
	r := start(t, guarded(t))
	old, key := bearer(signed(t, mine)), bearer(apiKey)
	stays := r.openAs(t, old, "/v1/topics/mine/a", "text/plain")
	ticket := r.ticket(t, signed(t, mine))

	next := guarded(t)
	next.Access.Secret = "another secret of more than thirty-two bytes"
	next.Access.APIKeys = next.Access.APIKeys[1:]
	next.Limits.StreamsPerUser = 1
	if err := r.Reload(next); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{old, key} {
		if resp, body := r.do(t, "POST", "/v1/topics/mine/a", "x", k); resp.StatusCode != 401 {
			t.Errorf("an old key: %s %s", resp.Status, body)
		}
	}
	fresh := bearer(signedWith(t, next.Access.Secret, mine))
	if resp, _ := r.do(t, "POST", "/v1/topics/mine/a", "to all", fresh); resp.StatusCode != 201 || stays.line(t) != "to all" {
		t.Errorf("a new key: %s", resp.Status)
	}
	readers, resp, body := r.hold(t, 1, fresh)
	if len(readers) != 0 {
		t.Error("ann has two streams, limit 1: the one that was open does not count")
	}
	refused(t, "a second stream", resp, body, 429, "too_many_streams")
	if resp, body := r.ask(t, "GET", "/v1/topics/mine/a?wait=0s&ticket="+ticket, ""); resp.StatusCode != 429 { // the ticket itself is good
		t.Errorf("a ticket from before: %s %s", resp.Status, body)
	}
	stays.Close()
	eventually(t, "there is room", func() bool {
		readers, _, _ := r.hold(t, 1, fresh)
		return len(readers) == 1
	})
}

// TestReloadOfWhatIsWrongChangesNothing has bad files, and changes that need a restart.
func TestReloadOfWhatIsWrongChangesNothing(t *testing.T) {
	good := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(good, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("shop:" + otherKey + "\n")
	settings := guarded(t)
	settings.Access.APIKeysFile, settings.Access.APIKeys = good, nil
	r := start(t, settings)
	works := func(when string) {
		t.Helper()
		if resp, body := r.do(t, "POST", "/v1/topics/a", "x", bearer(otherKey)); resp.StatusCode != 201 {
			t.Errorf("%s: %s %s", when, resp.Status, body)
		}
	}
	works("at first")
	for name, change := range map[string]func(*config.Settings){
		"a file that is not there":  func(s *config.Settings) { s.Access.APIKeysFile += ".none" },
		"a file with a bad line":    func(s *config.Settings) { write("shop:" + otherKey + "\nnonsense\n") },
		"a short secret":            func(s *config.Settings) { s.Access.Secret = "short" },
		"no public keys":            func(s *config.Settings) { s.Access.PublicKeyFile = good },
		"an application of no kind": func(s *config.Settings) { s.Access.Forward.URL = "ftp://x" },
		"no access control":         func(s *config.Settings) { s.Access = config.Access{} },
	} {
		next := *settings
		change(&next)
		if err := r.Reload(&next); err == nil || strings.Contains(err.Error(), otherKey) {
			t.Errorf("%s: %v", name, err)
		}
		works(name)
		write("shop:" + otherKey + "\n")
	}
	write("shop:" + apiKey + "\n")
	works("before the file is read again")
	if err := r.Reload(settings); err != nil {
		t.Fatal(err)
	}
	if resp, _ := r.do(t, "POST", "/v1/topics/a", "x", bearer(otherKey)); resp.StatusCode != 401 {
		t.Errorf("a key that is no longer in the file: %s", resp.Status)
	}
	r.stop(t)
	if err := r.Reload(settings); err == nil {
		t.Error("a server that has stopped can be reloaded")
	}
}

// reloadable runs a server with an admin listener on an address, and counts reloads.
// They fail with *fail.
func reloadable(t *testing.T, s *config.Settings, address string, fail *error) (r *running, reloads *int) {
	t.Helper()
	s.Listen = append([]config.Listener{{Name: "ops", Network: "tcp", Address: address, Handler: "admin"}}, s.Listen...)
	reloads = new(int)
	r = startWith(t, s, func(srv *server.Server) {
		srv.OnReload(func() error {
			*reloads++
			return *fail
		})
	})
	return r, reloads
}

// TestReloadByRequest asks on an admin listener of this machine.
func TestReloadByRequest(t *testing.T) {
	var fail error
	r, reloads := reloadable(t, guarded(t), "127.0.0.1:0", &fail)
	for _, c := range []struct {
		method, header string
		status         int
		code           string
	}{
		{"POST", plain, 204, ""},
		{"POST", "Sec-Fetch-Site: same-origin", 204, ""},
		{"POST", "Sec-Fetch-Site: cross-site", 403, "cross_origin"},
		{"POST", "Sec-Fetch-Site: same-site", 403, "cross_origin"},
		{"POST", "Origin: " + foreignPage, 403, "cross_origin"},
		{"POST", "Origin: " + ownPage, 403, "cross_origin"},
		{"POST", "Origin: null", 403, "cross_origin"},
		{"GET", plain, 405, ""},
	} {
		before := *reloads
		resp, body := r.do(t, c.method, "/reload", "", c.header)
		if resp.StatusCode != c.status || problemCode(body) != c.code || (*reloads > before) != (c.status == 204) {
			t.Errorf("%s with %s: %s %s, %d reloads", c.method, c.header, resp.Status, body, *reloads-before)
		}
	}
	fail = errors.New("line 3: nonsense")
	if resp, body := r.do(t, "POST", "/reload", ""); resp.StatusCode != 422 || problemCode(body) != "bad_settings" || !strings.Contains(body, "line 3") {
		t.Errorf("bad settings: %s %s", resp.Status, body)
	}
	r.url = r.Listeners()[1].URL
	if resp, _ := r.do(t, "POST", "/reload", "", bearer(signed(t, mine))); resp.StatusCode != 404 && resp.StatusCode != 405 {
		t.Errorf("on the other listener: %s", resp.Status)
	}
	if *reloads != 3 {
		t.Errorf("%d reloads, want 3", *reloads)
	}
}

// TestReloadFromOtherMachinesNeedsARight asks on an admin listener that others can reach.
func TestReloadFromOtherMachinesNeedsARight(t *testing.T) {
	var fail error
	r, reloads := reloadable(t, guarded(t), "0.0.0.0:0", &fail)
	r.url = strings.Replace(r.url, "[::]", "127.0.0.1", 1)
	may := access.Grant{User: "op", Publish: []string{"weir/settings"}}
	for key, status := range map[string]int{plain: 401, bearer(signed(t, mine)): 403, bearer(apiKey): 403, bearer(signed(t, may)): 204} {
		if resp, body := r.do(t, "POST", "/reload", "", key); resp.StatusCode != status {
			t.Errorf("with %.30s: %s %s, want %d", key, resp.Status, body, status)
		}
	}
	if *reloads != 1 {
		t.Errorf("%d reloads, want 1", *reloads)
	}
}

// TestReloadIsNotPossible if nobody says how.
func TestReloadIsNotPossible(t *testing.T) {
	s := defaults(t)
	s.Listen[0].Handler = "admin"
	r := start(t, s)
	if resp, body := r.do(t, "POST", "/reload", ""); resp.StatusCode != 501 || problemCode(body) != "not_possible" {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// TestReloadsNamesSettings compares a few names.
func TestReloadsNamesSettings(t *testing.T) {
	for name, want := range map[string]bool{
		"access.secret-file": true, "access.api-keys": true, "access.anonymous-subscribe": true, "access.tickets": false,
		"limits.streams": true, "limits.replay-per-client": true, "limits.memory": false, "limits.clients": false,
		"listen": false, "log.level": false, "cors.origins": false, "accessory": false,
	} {
		if server.Reloads(name) != want {
			t.Errorf("%s: %v, want %v", name, !want, want)
		}
	}
}
