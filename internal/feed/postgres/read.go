package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirstream/weir/internal/feed"
)

// run waits until the table is this reader's, and delivers its rows until ctx ends.
func (r *reader) run(ctx context.Context) error {
	if err := r.elect(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if _, err := r.query("LISTEN " + r.channel); err != nil { // before the table is read for the first time
		return fmt.Errorf("listen to %s: %w", r.channel, err)
	}
	for ctx.Err() == nil {
		n, err := r.pass(ctx)
		if err != nil {
			return err
		}
		if n == 0 && !r.woken {
			if err := r.wait(ctx, r.poll); err != nil {
				return err
			}
		}
	}
	return nil
}

// elect waits for the lock, which the session then has until its end. It does not wait in
// the server, where the statement would keep dead rows from being removed.
func (r *reader) elect(ctx context.Context) error {
	for told := false; ctx.Err() == nil; told = true {
		got, err := r.row("SELECT pg_try_advisory_lock(hashtextextended('weir feed of ' || $1, 0))", r.name)
		if err != nil {
			return fmt.Errorf("lock for %s: %w", r.name, err)
		}
		if got[0] == "t" {
			return nil
		}
		if !told {
			r.in.Debug("another reader has the table", "table", r.name)
			r.in.Lag(-1)
		}
		if err := r.wait(ctx, electEvery); err != nil {
			return err
		}
	}
	return nil
}

// wait returns at a notification, after d, or when ctx ends.
func (r *reader) wait(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := r.conn.WaitForNotification(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("connection lost: %w", err)
	}
	return nil
}

// pass delivers rows and deletes them. It reports how many there were.
func (r *reader) pass(ctx context.Context) (int, error) {
	r.woken = false
	result, err := r.query(r.selection())
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", r.name, err)
	}
	n := len(result.Rows)
	r.lag(n)
	if n == 0 {
		return 0, nil
	}
	messages, ids, err := r.messages(result)
	if err != nil {
		return 0, err
	}
	if err := r.in.Deliver(ctx, messages, nil); err != nil {
		return 0, err
	}
	if err := r.delete(ids); err != nil {
		return 0, err
	}
	if n < r.batch {
		r.in.Lag(0)
	}
	return n, nil
}

// selection is the statement that reads. Without a column body it makes one.
func (r *reader) selection() string {
	body := ", to_json(r.*) AS body"
	if r.hasBody {
		body = ""
	}
	return fmt.Sprintf("SELECT r.*%s FROM %s AS r ORDER BY r.id LIMIT %d", body, r.name, r.batch)
}

// delete deletes rows. They must all be there: what cannot be deleted would be read for
// ever.
func (r *reader) delete(ids []string) error {
	var sql strings.Builder
	sql.WriteString("DELETE FROM " + r.name + " WHERE id IN (")
	for i := range ids {
		if i > 0 {
			sql.WriteByte(',')
		}
		sql.WriteString("$" + strconv.Itoa(i+1))
	}
	result, err := r.query(sql.String()+")", ids...)
	if err != nil {
		return fmt.Errorf("delete from %s what is stored: %w", r.name, err)
	}
	if n := result.CommandTag.RowsAffected(); n != int64(len(ids)) {
		return fmt.Errorf("%d of %d stored rows of %s could be deleted: somebody else deletes rows, or a trigger or policy keeps them", n, len(ids), r.name)
	}
	return nil
}

// lag tells how many rows wait when n were read: those, unless there may be more.
func (r *reader) lag(n int) {
	if n < r.batch {
		r.in.Lag(int64(n))
		return
	}
	if time.Since(r.asked) < lagEvery {
		return
	}
	r.asked = time.Now()
	count, err := r.row(fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s LIMIT %d) AS r", r.name, maxLag))
	if err != nil {
		return // it is only a figure
	}
	if n, err := strconv.ParseInt(count[0], 10, 64); err == nil {
		r.in.Lag(n)
	}
}

// Types of columns, by their OID.
const (
	oidBool  = 16
	oidBytea = 17
)

// messages are rows, and their ids.
func (r *reader) messages(rows *pgconn.Result) (messages []feed.Message, ids []string, err error) {
	messages, ids = make([]feed.Message, len(rows.Rows)), make([]string, len(rows.Rows))
	for i, row := range rows.Rows {
		m, hasBody := &messages[i], false
		m.Headers = make(map[string]string, len(row))
		for k, f := range rows.FieldDescriptions {
			if f.Name == "body" {
				m.Body, hasBody = body(f.DataTypeOID, row[k]), true
			} else if row[k] != nil {
				m.Headers[f.Name] = text(f.DataTypeOID, row[k])
			}
		}
		if !hasBody {
			return nil, nil, errors.New("table " + r.name + " has lost its column body")
		}
		ids[i], m.Key = m.Headers["id"], m.Headers["key"]
		m.ID = r.identify(m)
	}
	return messages, ids, nil
}

// identify returns a name that no other row has or will have. The id alone is not one: it
// begins anew with a table that is made anew. A uid alone may be that of a user.
func (r *reader) identify(m *feed.Message) string {
	if uid := m.Headers["uid"]; uid != "" {
		return m.Headers["id"] + "/" + uid
	}
	return r.oid + "/" + m.Headers["id"]
}

func body(oid uint32, value []byte) []byte {
	if digits, ok := strings.CutPrefix(string(value), `\x`); ok && oid == oidBytea {
		if b, err := hex.DecodeString(digits); err == nil {
			return b
		}
	}
	return value
}

func text(oid uint32, value []byte) string {
	if oid == oidBool {
		return strconv.FormatBool(string(value) == "t")
	}
	return string(value)
}
