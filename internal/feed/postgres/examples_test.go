package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

// TestExamples runs what is in examples/feeds/postgres, as its comments say.
func TestExamples(t *testing.T) {
	port := fmt.Sprint("PGPORT=", shared.port)
	do := func(program string, args ...string) {
		t.Helper()
		cmd := exec.Command(feedtest.Need(t, program), args...)
		cmd.Dir, cmd.Env = filepath.Join("..", "..", "..", "examples", "feeds", "postgres"), append(os.Environ(), port)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
	}
	c := connect(t)
	for _, old := range []string{"DATABASE IF EXISTS shop", "ROLE IF EXISTS shop", "ROLE IF EXISTS weir"} { // of an earlier run
		c.sql("DROP %s", old)
	}
	shop := "postgres://shop:shop@127.0.0.1/shop"
	do("psql", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-f", "setup.sql")
	bed := feedtest.New(t)
	start(t, bed, func(s *feed.Spec) {
		s.From, s.Table, s.Declare = fmt.Sprintf("postgres://weir:weir@127.0.0.1:%d/shop", shared.port), "outbox", true
		s.Topic, s.Type = "{field.topic|path}", "{field.type?}"
	}).AwaitState(feed.Running)
	do("php", "producer.php")
	do("sh", "producer.sh")
	do("psql", "-v", "ON_ERROR_STOP=1", shop, "-f", "watch.sql")
	do("psql", shop, "-c", "INSERT INTO orders VALUES (8, 'new')", "-c", "UPDATE orders SET state = 'paid'")
	bed.AwaitData("orders/7", []string{`{"id":7,"total":12.5}`, `{"id":7}`})
	bed.AwaitData("orders/8", []string{`{"id": 8, "state": "new"}`, `{"id": 8, "state": "paid"}`})
	types := ""
	for _, e := range bed.Entries("orders/*") {
		types += e.Type + " "
	}
	if want := "paid packed insert update "; types != want {
		t.Errorf("event types are %q, want %q", types, want)
	}
}
