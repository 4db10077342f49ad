package feedtest

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
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Postgres is PostgreSQL with a directory and a port of its own. The superuser postgres
// needs no password, other roles need theirs.
type Postgres struct {
	Port int // of 127.0.0.1

	dir     string
	bin     string   // directory of its programs
	as      []string // command that runs a program as a user who may; root may not
	process *Process
}

// OpenPostgres starts a server. Whoever calls it closes it.
func OpenPostgres(dir string) (*Postgres, error) {
	s := &Postgres{Port: FreePort(), dir: dir}
	var err error
	if s.bin, err = postgresPrograms(); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := s.drop(); err != nil {
			return nil, err
		}
	}
	if out, err := s.command("initdb", "-D", s.path("data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(s.path("data", "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// postgresPrograms is the directory of the server's programs, which Debian keeps out of
// PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("initdb is not installed")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// drop gives the directory to the user postgres.
func (s *Postgres) drop() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	s.as = []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "--"}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(s.dir, uid, gid)
}

func (s *Postgres) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

func (s *Postgres) command(program string, args ...string) *exec.Cmd {
	line := append(append(slices.Clone(s.as), filepath.Join(s.bin, program)), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = s.dir
	return cmd
}

func (s *Postgres) start() (err error) {
	if s.process, err = begin(s.command("postgres", "-D", s.path("data"), "-h", "127.0.0.1", "-p", fmt.Sprint(s.Port), "-k", s.dir,
		"-c", "fsync=off", "-c", "shared_buffers=16MB")); err != nil { // a killed process loses nothing that it has written
		return err
	}
	for late := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port))
		if err == nil {
			return c.Close(context.Background())
		}
		if err := s.process.Alive(); err != nil {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("%v\n%s", err, s.process.Said())
		}
	}
}

// Close ends the server.
func (s *Postgres) Close() {
	if s.process != nil && s.process.Stop() != nil {
		s.process.Kill() // which leaves its shared memory behind
	}
}
