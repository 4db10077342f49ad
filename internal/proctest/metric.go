package proctest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Metric asks weir at a URL without a path for one figure of /metrics, whose name has
// its labels if it has any.
func Metric(client *http.Client, url, name string) (float64, error) {
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			_, err := fmt.Sscan(rest, &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("%s: there is no %s in\n%s", resp.Status, name, Tail(string(text)))
}
