package webhook_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/proctest"
	"github.com/weirstream/weir/internal/webhook"
)

// TestOtherLanguagesCheckSignatures runs the receivers of docs/webhooks.md.
func TestOtherLanguagesCheckSignatures(t *testing.T) {
	port := fmt.Sprint(proctest.FreePort())
	for name, command := range map[string][]string{
		"php":  {"-S", "127.0.0.1:" + port, "testdata/receiver.php"},
		"node": {"testdata/receiver.mjs"},
	} {
		for _, secret := range []string{secret, "whsec_" + base64.StdEncoding.EncodeToString([]byte("\x00\xff another secret, in base64"))} {
			t.Run(name+" "+secret[:5], func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "out")
				b := newBed(t, newReceiver(t))
				b.spec.URL, b.spec.Events = "http://127.0.0.1:"+port, []string{"join", "message"}
				p := proctest.Launch{
					Args: append([]string{proctest.Need(t, name)}, command...),
					Env:  []string{"SECRET=" + secret, "OUT=" + out, "PORT=" + port},
				}.Start(t)
				awaitServer(t, b.spec.URL, p)
				b.setSecrets("a new secret, which signs first", secret)
				run := b.start()
				b.join("ada")
				b.publish("room/1", "", "水坝 </script>\u2028")
				feedtest.Await(t, "events", func() error {
					got, _ := os.ReadFile(out)
					return feedtest.Not(string(got) == "join room/1 ada\nmessage room/1 水坝 </script>\u2028\n", "%q", got)
				})
				b.setSecrets("a secret that it does not know")
				b.join("eve")
				run.awaitState(webhook.Failing)
				if s := run.Stats(); s.Sent != 2 || !strings.Contains(s.Error, "401") {
					t.Errorf("stats are %+v", s)
				}
			})
		}
	}
}

// awaitServer waits until a program answers; it refuses what is not signed.
func awaitServer(t *testing.T, url string, p *proctest.Process) {
	t.Helper()
	p.Await(t, feedtest.Patience, func() error {
		resp, err := http.Post(url, "application/json", strings.NewReader("{}"))
		if err == nil {
			resp.Body.Close()
			err = feedtest.Not(resp.StatusCode == http.StatusUnauthorized, "it answers %s", resp.Status)
		}
		return err
	})
}

// TestDocumentedReceiversAreThoseOfTheTests compares docs/webhooks.md with what is run here.
func TestDocumentedReceiversAreThoseOfTheTests(t *testing.T) {
	doc, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weir.php", "weir.mjs"} {
		code, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil || !strings.Contains(string(doc), strings.TrimSpace(string(code))) {
			t.Errorf("docs/webhooks.md does not show testdata/%s: %v", name, err)
		}
	}
}
