package server_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/proctest"
)

// hookExample is the folder with a settings file and programs that send.
const hookExample = "../../examples/feeds/webhook"

// withHooks adds a webhook that is signed as GitHub does, hooks/signed, and one that is
// not, hooks/open.
func withHooks(t *testing.T, s *config.Settings) *config.Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("It's a Secret to Everybody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Feeds = []feed.Spec{
		{Name: "signed", Webhook: "github", SecretFile: file, Topic: "hooks/{feed}", Type: "{property.event?}"},
		{Name: "open", Webhook: "open", Topic: "hooks/{feed}"},
	}
	return s
}

// Headers of GitHub for the body "Hello, World!", as its documentation has them.
var hello = []string{"X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-GitHub-Event: ping",
	"X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}

// hooksRun waits until webhooks are taken.
func (r *running) hooksRun(t *testing.T) {
	t.Helper()
	eventually(t, "the feeds run", func() bool {
		_, body := r.do(t, "GET", "/metrics", "", bearer(apiKey))
		return strings.Contains(body, `weir_feed_running{feed="open"} 1`) && strings.Contains(body, `weir_feed_running{feed="signed"} 1`)
	})
}

// TestExampleOfHooksTellsWhatIsRefused runs the programs of the folder, with its settings,
// for what can never be published, and with a secret that is another one.
func TestExampleOfHooksTellsWhatIsRefused(t *testing.T) {
	loaded, err := config.Load(config.Input{File: filepath.Join(hookExample, "weir.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	withSecret := func(text string) (dir string) {
		dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hook.secret"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	right, wrong := withSecret("whsec_c2VzYW1lLCBvcGVuIHVwIG5vdw==\n"), withSecret("whsec_b3RoZXI=\n")
	s := loaded.Settings
	s.Listen, s.Page = defaults(t).Listen, false
	for i := range s.Feeds {
		s.Feeds[i].SecretFile = filepath.Join(right, s.Feeds[i].SecretFile)
	}
	r := start(t, s)
	send := func(dir, file, of string) string {
		t.Helper()
		path, err := filepath.Abs(filepath.Join(hookExample, file))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(proctest.Need(t, map[string]string{".php": "php", ".sh": "sh"}[filepath.Ext(file)]), path, "end", of)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "WEIR="+r.url)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%v succeeds", cmd)
		}
		return string(out)
	}
	for i, file := range []string{"producer.php", "producer.sh"} {
		if out := send(right, file, "a/b"); !strings.Contains(out, "422") {
			t.Errorf("%s, for what can never be published, says %s", file, out)
		}
		if n := r.kept(t, "shop/dead", "Accept: */*"); n != i+1 {
			t.Errorf("%s: %d dead letters, want %d", file, n, i+1)
		}
		if out := send(wrong, file, "17"); !strings.Contains(out, "401") || !strings.Contains(out, "the secrets differ") {
			t.Errorf("%s, with another secret, says %s", file, out)
		}
	}
}

// TestHooksHaveAnAccessOfTheirOwn: a token is not needed, and does not help.
func TestHooksHaveAnAccessOfTheirOwn(t *testing.T) {
	r := start(t, withHooks(t, guarded(t)))
	r.hooksRun(t)
	key := bearer(apiKey)
	for _, c := range []struct {
		name, method, path string
		header             []string
		status             int
		text               string
	}{
		{"signed", "POST", "/v1/hooks/signed", hello, 200, "{}\n"},
		{"again", "POST", "/v1/hooks/signed", hello, 200, "{}\n"},
		{"with a query", "POST", "/v1/hooks/signed?a=b", hello, 200, "{}\n"},
		{"not signed", "POST", "/v1/hooks/signed", nil, 401, `"code":"bad_signature"`},
		{"a token instead", "POST", "/v1/hooks/signed", []string{key}, 401, `"code":"bad_signature"`},
		{"open", "POST", "/v1/hooks/open", nil, 200, "{}\n"},
		{"open, a bad token", "POST", "/v1/hooks/open", []string{"Authorization: Bearer nonsense"}, 200, "{}\n"},
		{"its topic", "POST", "/v1/topics/hooks/open", nil, 401, `"code":"no_token"`},
		{"GET", "GET", "/v1/hooks/signed", nil, 405, `"code":"method_not_allowed"`},
		{"no such feed", "POST", "/v1/hooks/none", hello, 404, `no such resource: \"/v1/hooks/none\"`},
		{"no such feed, a token", "POST", "/v1/hooks/none", []string{key}, 404, "no such resource"},
		{"no name", "POST", "/v1/hooks/", hello, 404, "no such resource"},
		{"no name, nor slash", "POST", "/v1/hooks", hello, 401, "no_token"},
		{"more than a name", "POST", "/v1/hooks/signed/x", hello, 404, "no such resource"},
		{"another spelling", "POST", "/v1/hooks/%73igned", hello, 200, "{}\n"},
		{"a way round", "POST", "/v1/hooks/../topics/a", nil, 404, "no such resource"},
		{"a foreign page", "POST", "/v1/hooks/open", []string{"Origin: " + foreignPage}, 403, `"code":"cross_origin"`},
		{"a page of ours", "POST", "/v1/hooks/open", []string{"Origin: " + ownPage}, 200, "{}\n"},
	} {
		resp, body := r.do(t, c.method, c.path, "Hello, World!", c.header...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %s %s, want %d with %s", c.name, resp.Status, body, c.status, c.text)
		}
		if c.status == 404 && strings.Contains(body, "signed\"") {
			t.Errorf("%s: the answer names feeds: %s", c.name, body)
		}
	}
	reads := bearer(signed(t, access.Grant{User: "eve", Subscribe: []string{"hooks/*"}}))
	if n := r.kept(t, "hooks/signed", reads); n != 1 {
		t.Errorf("%d messages were signed, want 1: it came again", n)
	}
	resp, _ := r.do(t, "OPTIONS", "/v1/hooks/open", "", "Origin: "+ownPage, "Access-Control-Request-Method: POST")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != ownPage {
		t.Errorf("the preflight of a page of ours: %s %v", resp.Status, resp.Header)
	}
}

// TestHooksAreLimited by the address of who sends, whether it is signed or not.
func TestHooksAreLimited(t *testing.T) {
	s := withHooks(t, defaults(t))
	s.Limits.PublishPerIP = 1
	s.Proxy.Trusted = []string{"loopback"}
	r := start(t, s)
	r.hooksRun(t)
	status := func(from string) int {
		resp, body := r.do(t, "POST", "/v1/hooks/signed", "not signed", "X-Forwarded-For: "+from)
		if resp.StatusCode == 429 {
			refused(t, "too many", resp, body, 429, "too_many_requests")
		}
		return resp.StatusCode
	}
	var got []int
	for range 12 {
		got = append(got, status("192.0.2.1"))
	}
	if !slices.Equal(slices.Compact(slices.Clone(got)), []int{401, 429}) || slices.Index(got, 429) < 10 {
		t.Errorf("the statuses are %v, want 401 for ten or eleven, then 429", got)
	}
	if got := status("192.0.2.2"); got != 401 {
		t.Errorf("another address: %d", got)
	}
}

// TestAdoptedConnectionsHaveHooks asks on a connection that publishes without net/http.
func TestAdoptedConnectionsHaveHooks(t *testing.T) {
	r := start(t, withHooks(t, defaults(t)))
	r.hooksRun(t)
	c := r.connect(t)
	for i := range 10 {
		if resp := c.send(t, "POST", "/v1/topics/hooks/open", fmt.Sprint(i)); resp.StatusCode != 201 {
			t.Fatalf("publish: %s", resp.Status)
		}
		_, _ = c.body.ReadString('\n')
	}
	eventually(t, "the connection is adopted", func() bool { return r.Adopted() == 1 })
	if resp := c.send(t, "POST", "/v1/hooks/open", "10", "Content-Type: application/json"); resp.StatusCode != 200 {
		t.Errorf("a webhook: %s", resp.Status)
	}
	reader := r.follow(t, "/v1/topics/hooks/open?since=start", "text/plain")
	for i := range 11 {
		if line := reader.line(t); line != fmt.Sprint(i) {
			t.Errorf("line %d is %q", i, line)
		}
	}
}

// TestDrainAnswersHooks stops while messages flow: what was taken is kept, and nothing
// else.
func TestDrainAnswersHooks(t *testing.T) {
	s := withHooks(t, defaults(t))
	s.Data = t.TempDir()
	r := start(t, s)
	r.hooksRun(t)
	var mu sync.Mutex
	var taken []string
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprint(i, " ", n)
				resp, err := r.client.Post(r.url+"/v1/hooks/open", "text/plain", strings.NewReader(body))
				if err != nil {
					return // nobody listens any more
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					if resp.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("%s: %s", body, resp.Status)
					}
					return
				}
				mu.Lock()
				taken = append(taken, body)
				mu.Unlock()
			}
		})
	}
	eventually(t, "messages flow", func() bool { mu.Lock(); defer mu.Unlock(); return len(taken) > 100 })
	r.stop(t)
	group.Wait()
	r = start(t, s)
	reader := r.follow(t, "/v1/topics/hooks/open?since=start", "text/plain")
	var got []string
	for range taken {
		got = append(got, reader.line(t))
	}
	slices.Sort(taken)
	slices.Sort(got)
	if kept := r.kept(t, "hooks/open", "Accept: */*"); !slices.Equal(got, taken) || kept != len(taken) {
		t.Errorf("%d messages were taken, %d are kept", len(taken), kept)
	}
}
