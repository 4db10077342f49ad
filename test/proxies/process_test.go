package proxies_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// A process is a program that a test has started.
type process struct {
	*proctest.Process
	t *testing.T
}

// start runs a program with its children until the test ends, or Kill is called.
func start(t *testing.T, env []string, args ...string) process {
	t.Helper()
	return process{proctest.Launch{Args: args, Env: env, Children: true}.Start(t), t}
}

// answers waits until /healthz of the server is there at url, perhaps through a proxy.
func (p process) answers(client *http.Client, url string) {
	p.t.Helper()
	p.Await(p.t, patience, func() error {
		resp, err := client.Get(url + "/healthz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/healthz: %s", url, resp.Status)
		}
		return nil
	})
}
