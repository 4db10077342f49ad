// Package postgres feeds the rows of a PostgreSQL table.
//
// [New] makes the source. An application inserts rows into the table, in the transaction
// of the change that they tell of, and the source deletes them when they are in the log.
// A row that was read and not deleted, because the connection broke or weir was killed,
// comes again under the same name, so each arrives exactly once.
//
//   - Rows come in the order of their column id, those of concurrent transactions in the
//     order in which they can be seen. Nothing is read "after the last id": a transaction
//     that commits late has lower ids than what was read before it.
//   - No transaction is open while rows are stored, however long the log refuses.
//   - NOTIFY only says that it is worth looking. The table is looked at every two seconds
//     in any case.
//   - One reader at a time has the table, by an advisory lock of its session, so that the
//     order is kept. The others wait, and one of them goes on when its session has ended.
//
// It creates nothing unless Declare is set: then a missing table, and a trigger that
// notifies once per statement.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch  = 256
	dialTimeout      = 10 * time.Second // for all of the handshake
	statementTimeout = 10 * time.Second // in the server
	answerTimeout    = 5 * time.Second  // after that
	pollEvery        = 2 * time.Second  // that the table is looked at without a notification
	electEvery       = time.Second      // that another's lock is tried
	lagEvery         = 5 * time.Second
	maxLag           = 100_000 // rows that are counted
)

// A Source reads one table.
type Source struct {
	spec      feed.Spec
	batch     int           // rows that are read at once
	poll      time.Duration // see pollEvery
	statement time.Duration // see statementTimeout
}

// New makes a source. s must have passed its Check.
func New(s feed.Spec) (*Source, error) {
	u, err := url.Parse(s.From)
	if err != nil {
		return nil, errors.New("from is not a URL")
	}
	for _, secret := range []string{"password", "sslpassword"} { // which nothing would hide
		if u.Query().Has(secret) {
			return nil, fmt.Errorf("from has %s= after the question mark: put the password before the host, USER:PASSWORD@, or into password-file", secret)
		}
	}
	if mode := u.Query().Get("sslmode"); s.CAFile != "" && mode != "" && mode != "verify-ca" && mode != "verify-full" {
		return nil, fmt.Errorf("from has sslmode=%s, which does not go with ca-file: want verify-full or verify-ca", mode)
	}
	if _, err := pgconn.ParseConfig(s.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	return &Source{spec: s, batch: min(cmp.Or(s.Prefetch, defaultPrefetch), feed.MaxBatch), poll: pollEvery, statement: statementTimeout}, nil
}

// Run reads until the connection is lost, or ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	r := &reader{Source: s, in: in}
	if err := r.connect(ctx); err != nil {
		return err
	}
	defer r.close()
	if err := r.prepare(); err != nil {
		return err
	}
	in.Running()
	return r.run(ctx)
}

// config is how to connect, with what the files hold now.
func (s *Source) config() (*pgconn.Config, error) {
	from := s.spec.From
	if s.spec.CAFile != "" {
		from = trusting(from, s.spec.CAFile)
	}
	config, err := pgconn.ParseConfig(from)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if config.Password, err = s.spec.Password(config.Password); err != nil {
		return nil, err
	}
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "weir feed " + s.spec.Name
	}
	return config, nil
}

// trusting adds to a URL whom to trust, and that the server must be who it says it is.
func trusting(from, caFile string) string {
	base, query, _ := strings.Cut(from, "?")
	given, _ := url.ParseQuery(query) // New has read it
	if query != "" {
		query += "&"
	}
	query += "sslrootcert=" + strings.ReplaceAll(url.QueryEscape(caFile), "+", "%20") // a plus is a plus there
	if !given.Has("sslmode") {
		query += "&sslmode=verify-full"
	}
	return base + "?" + query
}

// A reader is what goes on between two failures.
type reader struct {
	*Source
	in   *feed.Intake
	conn *pgconn.PgConn
	table

	woken bool      // a notification has arrived since the table was read
	asked time.Time // when the rows were counted
}

func (r *reader) connect(ctx context.Context) error {
	config, err := r.config()
	if err != nil {
		return err
	}
	// It is called by what reads from the connection. How many there were does not
	// matter, so none is kept.
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { r.woken = true }
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if r.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return errors.New(strings.Join(strings.Fields(err.Error()), " ")) // it has several lines
	}
	return nil
}

// close tells the server, which then frees the lock.
func (r *reader) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.conn.Close(ctx) // it may be lost
}

// query runs one statement. All values are texts.
func (r *reader) query(sql string, args ...string) (*pgconn.Result, error) {
	ctx, cancel := context.WithTimeout(r.in.Grace(), r.statement+answerTimeout)
	defer cancel()
	values := make([][]byte, len(args))
	for i, arg := range args {
		values[i] = []byte(arg)
	}
	result := r.conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return result, result.Err
}

// row is query for a statement with one row, or none.
func (r *reader) row(sql string, args ...string) ([]string, error) {
	result, err := r.query(sql, args...)
	if err != nil || len(result.Rows) == 0 {
		return nil, err
	}
	texts := make([]string, len(result.Rows[0]))
	for i, value := range result.Rows[0] {
		texts[i] = string(value)
	}
	return texts, nil
}
