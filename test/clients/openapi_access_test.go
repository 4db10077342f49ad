package clients_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

func TestDescriptionHoldsForTickets(t *testing.T) {
	t.Parallel()
	iv := newInterview(t, fullKey)
	a := iv.ask(iv.operation("issueTicket"), nil, 2)
	ticket := a.fields().Ticket
	name := iv.doc.Components.SecuritySchemes["ticket"].Value.Name
	with := values{"Authorization header": nil, name + " query": {ticket}, "since query": {"start"}, "wait query": {"0s"}}
	iv.ask(iv.operation("follow"), with, 2)
	if a := iv.ask(iv.operation("follow"), with, 4); a.problem().Code != "bad_ticket" {
		t.Errorf("a ticket that was used: %d %s, want bad_ticket", a.status, a.body)
	}
}

func TestDescriptionHoldsAtLimits(t *testing.T) {
	t.Parallel()
	iv := newInterview(t, fullKey)
	slow := []string{"Bearer " + slowKey}
	for _, id := range []string{"publish", "publishLines", "createStream", "appendToStream"} {
		await(t, id+" beyond the rate", func() error {
			if a := iv.ask(iv.operation(id), values{"Authorization header": slow}, 0); a.status != http.StatusTooManyRequests {
				return fmt.Errorf("status %d %s", a.status, a.body)
			}
			return nil
		})
	}
	defer iv.hold("/v1/topics/orders/17", slow)()
	for _, id := range []string{"follow", "followSeveral", "timeDemo"} {
		if a := iv.ask(iv.operation(id), values{"Authorization header": slow}, 4); a.status != http.StatusTooManyRequests {
			t.Errorf("%s with a stream too many: %d %s, want 429", id, a.status, a.body)
		}
	}
	list := iv.ask(iv.operation("listConnections"), values{"user query": {"slow"}}, 2)
	if list.fields().Total != 1 {
		t.Errorf("the list of the streams of slow is %s, want one", list.body)
	}
	if a := iv.ask(iv.operation("endConnections"), values{"user query": {"slow"}}, 2); a.fields().Ended != 1 {
		t.Errorf("ending the streams of slow: %s, want one", a.body)
	}
}

// hold opens a stream and keeps it until the returned function is called.
func (iv *interview) hold(path string, authorization []string) (release func()) {
	iv.t.Helper()
	r, err := http.NewRequestWithContext(iv.t.Context(), "GET", iv.s.url+path, nil)
	if err != nil {
		iv.t.Fatal(err)
	}
	r.Header["Authorization"] = authorization
	resp, err := iv.s.http.Do(r)
	if err != nil {
		iv.t.Fatal(err)
	}
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || resp.StatusCode != http.StatusOK {
		iv.t.Fatalf("a stream: status %d, %v", resp.StatusCode, err)
	}
	return func() { resp.Body.Close() }
}

func TestDescriptionHoldsOnAnAdminListener(t *testing.T) {
	t.Parallel()
	addr := proctest.FreeAddr()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write := func(more string) {
		if err := os.WriteFile(file, []byte("listen:\n  operation: {listen: \""+addr+"\", handler: admin}\n"+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s := &server{program: start(t, weirPath, "serve", "--json", "--config", file), addr: addr, url: "http://" + addr, http: &http.Client{Timeout: patience}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.awaitText(s.Out, "\n")
	iv := &interview{t: t, s: s, doc: readDescription(t), seen: make(map[string]bool)}
	for _, item := range iv.doc.Paths.Map() {
		for _, op := range item.Operations() {
			if o := iv.operation(op.OperationID); slices.Contains(o.Tags, "server") || slices.Contains(o.Tags, "admin") {
				iv.ask(o, nil, 2)
			}
		}
	}
	reload := iv.operation("reload")
	iv.ask(reload, values{"Origin header": {"https://elsewhere.example"}}, 4)
	write("nonsense: 1\n")
	if a := iv.ask(reload, nil, 4); a.status != http.StatusUnprocessableEntity {
		t.Errorf("reload of wrong settings: %d %s, want 422", a.status, a.body)
	}
}
