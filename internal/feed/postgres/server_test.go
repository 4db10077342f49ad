package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/postgres"
	"github.com/weirstream/weir/internal/leak"
)

// shared is used by all tests, one after the other.
var shared *feedtest.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if shared, err = feedtest.OpenPostgres(); err != nil {
		fmt.Fprintf(os.Stderr, "postgres: PostgreSQL, which \"go run ./test\" in the repository's root installs: %v\n", err)
		return 1
	}
	code := 1
	if err = makeRoles(); err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, shared.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		return 1
	}
	if left := leak.Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		return 1
	}
	return code
}

func makeRoles() error {
	c, err := pgconn.Connect(context.Background(), shared.URL("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	_, err = c.Exec(context.Background(), `CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'hush'; CREATE ROLE weak LOGIN PASSWORD 'weak';
		CREATE ROLE barred PASSWORD 'hush'`).ReadAll()
	return err
}

// over is the URL of the server over a relay.
func over(r *feedtest.Relay) string {
	return strings.Replace(shared.URL("postgres"), shared.Addr(), r.Addr(), 1)
}

// A client is a connection of a test, and its table.
type client struct {
	t     *testing.T
	conn  *pgconn.PgConn
	table string // named after the test, in lower case
}

// connect makes a client, without a table.
func connect(t *testing.T) *client {
	t.Helper()
	name, _, _ := strings.Cut(strings.ToLower(t.Name()), "/")
	c := &client{t: t, table: name}
	c.dial()
	c.sql("DROP TABLE IF EXISTS %s", c.table)
	return c
}

// withTable makes a client with a table as the feed declares it.
func withTable(t *testing.T) *client {
	t.Helper()
	c := connect(t)
	r := start(t, feedtest.New(t), func(s *feed.Spec) { s.Declare = true })
	r.AwaitState(feed.Running)
	r.Stop()
	return c
}

func (c *client) dial() {
	c.t.Helper()
	conn, err := pgconn.Connect(context.Background(), shared.URL("postgres"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.conn = conn
	c.t.Cleanup(func() { conn.Close(context.Background()) })
}

// sql runs statements, and returns the first column of the rows of the last one.
func (c *client) sql(text string, args ...any) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	defer cancel()
	results, err := c.conn.Exec(ctx, fmt.Sprintf(text, args...)).ReadAll()
	if err != nil {
		c.t.Fatalf("%v\n%s", err, text)
	}
	var column []string
	for _, row := range results[len(results)-1].Rows {
		column = append(column, string(row[0]))
	}
	return column
}

// insert adds rows with the bodies "from" to "to-1", in one statement.
func (c *client) insert(from, to int) {
	c.t.Helper()
	c.sql("INSERT INTO %s (body) SELECT n::text FROM generate_series(%d, %d) AS n", c.table, from, to-1)
}

func (c *client) rows() string {
	c.t.Helper()
	return c.sql("SELECT count(*) FROM %s", c.table)[0]
}

func (c *client) awaitRows(want int) {
	c.t.Helper()
	feedtest.Await(c.t, "rows of "+c.table, func() error {
		n := c.rows()
		return feedtest.Not(n == fmt.Sprint(want), "%s rows, want %d", n, want)
	})
}

// start feeds from the table of a test to the topic in. Without a notification it takes
// an hour to find a row. A statement may take a second.
func start(t *testing.T, bed *feedtest.Bed, change func(s *feed.Spec)) *feedtest.Running {
	t.Helper()
	return startPolling(t, bed, time.Hour, change)
}

func startPolling(t *testing.T, bed *feedtest.Bed, poll time.Duration, change func(s *feed.Spec)) *feedtest.Running {
	t.Helper()
	s := feed.Spec{Name: "test", From: shared.URL("postgres"), Table: strings.ToLower(t.Name()), Topic: "in", DeadLetter: "dead"}
	if change != nil {
		change(&s)
	}
	source, err := postgres.New(s)
	if err != nil {
		t.Fatal(err)
	}
	source.SetTimes(poll, time.Second)
	return bed.Start(feed.Options{Spec: s, Source: source})
}

func awaitError(t *testing.T, r *feedtest.Running, want string) {
	t.Helper()
	feedtest.Await(t, "the error", func() error {
		s := r.Stats()
		return feedtest.Not(s.State == feed.Failing && strings.Contains(s.Error, want), "%+v, want %q", s, want)
	})
	if s := r.Stats(); strings.Contains(s.Error, "hush") || strings.Contains(s.Error, "\n") {
		t.Errorf("error is %q", s.Error)
	}
}

// some waits until a bed has messages.
func some(t *testing.T, bed *feedtest.Bed, n int) {
	t.Helper()
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) >= n, "%d", len(bed.Data("in"))) })
}
