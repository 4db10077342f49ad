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

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/proctest"
)

// A Postgres is PostgreSQL with a directory and a port of its own. The superuser postgres
// needs no password, other roles need theirs. It can do TLS.
type Postgres struct {
	Dir  string // has cert.pem
	Port int    // of 127.0.0.1

	bin     string   // directory of its programs
	as      []string // command that runs a program as a user who may; root may not
	process *proctest.Process
}

// OpenPostgres starts a server in a directory that is no test's: the server's user may not
// enter those. Whoever calls it closes it.
func OpenPostgres() (*Postgres, error) {
	dir, err := os.MkdirTemp("", "weir-postgres")
	if err != nil {
		return nil, err
	}
	s := &Postgres{Dir: dir, Port: proctest.FreePort()}
	if err = s.prepare(); err == nil {
		err = s.Start()
	}
	if err != nil {
		if s.process != nil {
			s.process.Kill()
		}
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// prepare makes all that the server needs, but does not start it.
func (s *Postgres) prepare() (err error) {
	if s.bin, err = postgresPrograms(); err != nil {
		return err
	}
	if err = certtest.SelfSigned("127.0.0.1").Write(s.Dir); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err = s.drop(); err != nil {
			return err
		}
	}
	line := s.line("initdb", "-D", s.path("data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync")
	initdb := exec.Command(line[0], line[1:]...)
	initdb.Dir = s.Dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	return os.WriteFile(s.path("data", "pg_hba.conf"), []byte(rules), 0o600)
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
	return errors.Join(os.Chown(s.Dir, uid, gid), os.Chown(s.path("key.pem"), uid, gid), os.Chown(s.path("cert.pem"), uid, gid))
}

func (s *Postgres) path(elements ...string) string {
	return filepath.Join(append([]string{s.Dir}, elements...)...)
}

// line is the command that runs one of its programs.
func (s *Postgres) line(program string, args ...string) []string {
	return slices.Concat(s.as, []string{filepath.Join(s.bin, program)}, args)
}

// Start starts the server, which must not run. After a Kill, the processes that are left
// over keep it from starting until they have noticed, so it tries more than once.
func (s *Postgres) Start() error {
	for late := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		err := s.try(late)
		if err == nil || time.Now().After(late) {
			return err
		}
	}
}

// try starts the server, and waits until it takes connections, or has ended.
func (s *Postgres) try(late time.Time) (err error) {
	line := s.line("postgres", "-D", s.path("data"), "-h", "127.0.0.1", "-p", fmt.Sprint(s.Port), "-k", s.Dir,
		"-c", "fsync=off", "-c", "max_connections=40", "-c", "shared_buffers=16MB", // a killed process loses nothing that it has written
		"-c", "ssl=on", "-c", "ssl_cert_file="+s.path("cert.pem"), "-c", "ssl_key_file="+s.path("key.pem"))
	if s.process, err = (proctest.Launch{Args: line, Dir: s.Dir}).Spawn(); err != nil {
		return err
	}
	return s.process.Until(time.Until(late), func() error {
		c, err := pgconn.Connect(context.Background(), s.URL("postgres"))
		if err == nil {
			err = c.Close(context.Background())
		}
		return err
	})
}

// Kill ends the server without warning. What it shared with its processes stays in the
// system's memory until a server has been started again, which Close does.
func (s *Postgres) Kill() { s.process.Kill() }

// Close ends the server, and removes its directory. It leaves nothing behind.
func (s *Postgres) Close() error {
	var err error
	if s.process.Alive() != nil { // it was killed
		err = s.Start()
	}
	if err == nil {
		err = s.process.Stop(Patience)
	}
	if err != nil {
		s.process.Kill()
	}
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// Addr is where it listens.
func (s *Postgres) Addr() string { return fmt.Sprint("127.0.0.1:", s.Port) }

// URL is the database postgres as a role sees it, which is NAME or NAME:PASSWORD, in the
// clear.
func (s *Postgres) URL(role string) string {
	return "postgres://" + role + "@" + s.Addr() + "/postgres?sslmode=disable"
}
