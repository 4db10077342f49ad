package postgres_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/proctest"
)

// TestExampleWatchesATable runs watch.sql of examples/feeds/postgres, as its comment says:
// in the database of setup.sql, by the role of the application.
func TestExampleWatchesATable(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	for _, old := range []string{"DATABASE IF EXISTS shop", "ROLE IF EXISTS shop", "ROLE IF EXISTS weir"} { // of an earlier run
		c.sql("DROP %s", old)
	}
	shop := strings.Replace(shared.URL("shop:shop"), "/postgres?", "/shop?", 1)
	psql := func(url string, args ...string) {
		t.Helper()
		cmd := exec.Command(proctest.Need(t, "psql"), append([]string{"-v", "ON_ERROR_STOP=1", url}, args...)...)
		cmd.Dir = filepath.Join("..", "..", "..", "examples", "feeds", "postgres")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	psql(shared.URL("postgres"), "-f", "setup.sql")
	start(t, bed, func(s *feed.Spec) {
		s.From, s.Table, s.Declare = strings.Replace(shop, "shop:shop@", "weir:weir@", 1), "outbox", true
		s.Topic, s.Type = "{field.topic|path}", "{field.type?}"
	}).AwaitState(feed.Running)
	psql(shop, "-f", "watch.sql")
	psql(shop, "-c", "INSERT INTO orders VALUES (8, 'new')", "-c", "UPDATE orders SET state = 'paid'")
	bed.AwaitData("orders/8", []string{`{"id": 8, "state": "new"}`, `{"id": 8, "state": "paid"}`})
	for i, e := range bed.Entries("orders/8") {
		if want := []string{"insert", "update"}[i]; e.Type != want {
			t.Errorf("the type of event %d is %q, want %q", i, e.Type, want)
		}
	}
}
