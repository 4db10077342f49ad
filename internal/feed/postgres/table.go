package postgres

import (
	"context"
	"fmt"
)

// A table is what the server says of the one that is read.
type table struct {
	name    string // with its schema, quoted
	oid     string // another one when a table is dropped and made anew
	channel string // quoted
	hasBody bool   // it has a column body
}

// prepare sets up the session, and finds the table.
func (r *reader) prepare() error {
	if err := r.settings(); err != nil {
		return fmt.Errorf("settings of the session: %w", err)
	}
	exists, err := r.exists()
	if err != nil {
		return fmt.Errorf("table %q: %w", r.spec.Table, err)
	}
	if !exists && r.spec.Declare {
		err := r.declare()
		if exists, _ := r.exists(); err != nil && !exists { // another reader may have been faster
			return fmt.Errorf("create table %q: %w", r.spec.Table, err)
		}
	}
	return r.describe()
}

// settings has values written in one way, and the session ended soon when this machine is
// gone, as its lock would keep others from reading. A server skips what it does not know.
func (r *reader) settings() error {
	_, err := r.query(`SELECT set_config(name, want.value, false) FROM pg_settings JOIN (VALUES
		('statement_timeout', $1), ('bytea_output', 'hex'), ('DateStyle', 'ISO'), ('TimeZone', 'UTC'),
		('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '25000')
	) AS want (name, value) USING (name)`, fmt.Sprint(r.statement.Milliseconds()))
	return err
}

func (r *reader) exists() (bool, error) {
	found, err := r.row("SELECT to_regclass($1) IS NOT NULL", r.spec.Table)
	return err == nil && found[0] == "t", err
}

// declare creates the table and its trigger.
func (r *reader) declare() error {
	names, err := r.row(`SELECT array_to_string(q, '.'), array_to_string(q[:n-1] || quote_ident(p[n] || '_notify'), '.'), quote_literal(coalesce(nullif($2, ''), p[n]))
		FROM (SELECT parse_ident($1) AS p, cardinality(parse_ident($1)) AS n,
			ARRAY(SELECT quote_ident(part) FROM unnest(parse_ident($1)) WITH ORDINALITY AS u (part, i) ORDER BY i) AS q) AS parts`, r.spec.Table, r.spec.Notify)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.in.Grace(), r.statement+answerTimeout)
	defer cancel()
	_, err = r.conn.Exec(ctx, fmt.Sprintf(create, names[0], names[1], names[2])).ReadAll()
	return err
}

// create is one transaction. Its arguments are the table, the function and the channel.
const create = `CREATE TABLE %[1]s (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	uid uuid NOT NULL DEFAULT gen_random_uuid(),
	topic text,
	type text,
	key text,
	body text NOT NULL DEFAULT '',
	created timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION %[2]s() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify(%[3]s, '');
	RETURN NULL;
END $$;
CREATE TRIGGER weir AFTER INSERT ON %[1]s FOR EACH STATEMENT EXECUTE FUNCTION %[2]s();`

// describe finds out what is to be known of the table, and whether it can be read.
func (r *reader) describe() error {
	about, err := r.row(`SELECT format('%I.%I', nspname, relname), c.oid, quote_ident(coalesce(nullif($2, ''), relname)), current_user,
			has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE'),
			EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'body'),
			EXISTS (SELECT FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indkey[0] = attnum
				WHERE attrelid = c.oid AND attname = 'id' AND attnotnull AND indisunique AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL)
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
		WHERE c.oid = to_regclass($1)`, r.spec.Table, r.spec.Notify)
	switch {
	case err != nil:
		return fmt.Errorf("table %q: %w", r.spec.Table, err)
	case about == nil:
		return fmt.Errorf("table %q does not exist: create it, or add declare: true", r.spec.Table)
	case about[4] == "f":
		return fmt.Errorf("table %s: the role %q needs SELECT and DELETE on it", about[0], about[3])
	case about[6] == "f": // a row that has not been read could be deleted, or one be read for ever
		return fmt.Errorf(`table %s: want a column "id" that is unique and not null by itself, such as a primary key`, about[0])
	}
	r.table = table{name: about[0], oid: about[1], channel: about[2], hasBody: about[5] == "t"}
	return nil
}
