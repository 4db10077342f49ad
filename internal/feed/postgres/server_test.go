package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/postgres"
	"github.com/weirstream/weir/internal/leak"
)

// A server is PostgreSQL with a directory and a port of its own. Over TCP it wants a
// password from the roles that have one.
type server struct {
	dir     string
	bin     string   // directory of its programs
	as      []string // command that runs a program as a user who may; root may not
	port    int
	process *feedtest.Process
}

// shared is used by all tests, one after the other.
var shared server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-postgres")
	if err == nil {
		defer os.RemoveAll(dir)
		err = shared.open(dir)
	}
	if err != nil {
		shared.close()
		fmt.Fprintf(os.Stderr, "postgres: PostgreSQL, which \"go run ./test\" in the repository's root installs: %v\n", err)
		return 1
	}
	code := m.Run()
	shared.close()
	if left := leak.Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		return 1
	}
	return code
}

// programs is the directory of the server's programs, which Debian keeps out of PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("initdb is not installed")
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

func (s *server) open(dir string) (err error) {
	s.dir, s.port = dir, feedtest.FreePort()
	if s.bin, err = programs(); err != nil {
		return err
	}
	if err := feedtest.WriteCertificate(dir); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := s.drop(); err != nil {
			return err
		}
	}
	if out, err := s.command("initdb", "-D", s.path("data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "local all all trust\nhost all guarded,shop,weir 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(s.path("data", "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	return s.setUp()
}

// drop gives the directory to the user postgres.
func (s *server) drop() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	s.as = []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "--"}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return errors.Join(os.Chown(s.dir, uid, gid), os.Chown(s.path("key.pem"), uid, gid), os.Chown(s.path("cert.pem"), uid, gid))
}

func (s *server) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *server) line(program string, args ...string) []string {
	return append(append(slices.Clone(s.as), filepath.Join(s.bin, program)), args...)
}

func (s *server) command(program string, args ...string) *exec.Cmd {
	line := s.line(program, args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = s.dir
	return cmd
}

// start starts the server. After a kill, the processes that are left over keep it from
// starting until they have noticed.
func (s *server) start() (err error) {
	line := s.line("postgres", "-D", s.path("data"), "-h", "127.0.0.1", "-p", fmt.Sprint(s.port), "-k", s.dir,
		"-c", "fsync=off", "-c", "max_connections=40", "-c", "shared_buffers=16MB", // a killed process loses nothing that it has written
		"-c", "ssl=on", "-c", "ssl_cert_file="+s.path("cert.pem"), "-c", "ssl_key_file="+s.path("key.pem"))
	late := time.Now().Add(feedtest.Patience)
	for s.process == nil || s.process.Alive() != nil {
		if s.process, err = feedtest.Spawn(nil, line[0], line[1:]...); err != nil {
			return err
		}
		for s.process.Alive() == nil {
			if c, err := pgconn.Connect(context.Background(), s.url()); err == nil {
				return c.Close(context.Background())
			}
			if time.Now().After(late) {
				return fmt.Errorf("no connection within %v\n%s", feedtest.Patience, s.process.Said())
			}
			time.Sleep(20 * time.Millisecond)
		}
		if time.Now().After(late) {
			return s.process.Alive()
		}
	}
	return nil
}

// setUp makes the roles.
func (s *server) setUp() error {
	c, err := pgconn.Connect(context.Background(), s.url())
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	_, err = c.Exec(context.Background(), "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'hush'; CREATE ROLE weak LOGIN").ReadAll()
	return err
}

func (s *server) close() {
	if s.process != nil {
		s.process.Kill()
	}
}

func (s *server) addr() string { return fmt.Sprint("127.0.0.1:", s.port) }
func (s *server) url() string  { return urlAt("postgres", s.addr()) }

// urlAt is the URL of a user at an address, in the clear.
func urlAt(userinfo, addr string) string {
	return "postgres://" + userinfo + "@" + addr + "/postgres?sslmode=disable"
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
	conn, err := pgconn.Connect(context.Background(), shared.url())
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
	s := feed.Spec{Name: "test", From: shared.url(), Table: strings.ToLower(t.Name()), Topic: "in", DeadLetter: "dead"}
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
