package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/postgres"
)

func TestRowsArriveOnceAndInOrder(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	c.insert(0, 1000)
	r := start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	for i := 1000; i < 1010; i++ { // each wakes the feed
		c.insert(i, i+1)
		bed.AwaitData("in", feedtest.Numbers(0, i+1))
	}
	c.insert(1010, 2000)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	c.awaitRows(0)
	feedtest.Await(t, "no lag", func() error { return feedtest.Not(r.Stats().Lag == 0, "%+v", r.Stats()) })
	r.Stop()
	if s := r.Stats(); s.Published != 2000 || s.Received != 2000 || s.Failures != 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestRowThatCommitsLateIsNotSkipped has the lower id become visible after the higher.
func TestRowThatCommitsLateIsNotSkipped(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	late := &client{t: t, table: c.table}
	late.dial()
	start(t, bed, nil)
	late.sql("BEGIN")
	late.insert(1, 2)
	c.sql("BEGIN")
	c.insert(9, 10)
	c.sql("ROLLBACK")
	c.insert(2, 3)
	bed.AwaitData("in", []string{"2"})
	late.sql("COMMIT")
	bed.AwaitData("in", []string{"2", "1"})
	c.awaitRows(0)
}

func TestPollFindsRowsWithoutANotification(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	c.sql("CREATE TABLE %s (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text)", c.table)
	startPolling(t, bed, 20*time.Millisecond, func(s *feed.Spec) { // of two servers, the first is not there
		s.From = fmt.Sprintf("postgres://postgres@/postgres?host=127.0.0.1,127.0.0.1&port=1,%d&target_session_attrs=read-write&sslmode=disable", shared.Port)
	}).AwaitState(feed.Running)
	c.insert(0, 1)
	bed.AwaitData("in", feedtest.Numbers(0, 1))
	c.insert(1, 2)
	bed.AwaitData("in", feedtest.Numbers(0, 2))
}

// TestNotificationDuringAReadIsNotForgotten has a row become visible, and its notification
// arrive, while the feed reads the table without it: a row that it may not see takes time.
func TestNotificationDuringAReadIsNotForgotten(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	c.sql(`GRANT SELECT, DELETE ON %[1]s TO weak; ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY;
		CREATE POLICY slow ON %[1]s USING (body <> 'hidden' OR pg_sleep(0.5) IS NULL); INSERT INTO %[1]s (body) VALUES ('hidden')`, c.table)
	start(t, bed, func(s *feed.Spec) { s.From = shared.URL("weak:weak") })
	feedtest.Await(t, "a read that takes time", func() error {
		waits := c.sql("SELECT wait_event FROM pg_stat_activity WHERE application_name = 'weir feed test'")
		return feedtest.Not(slices.Equal(waits, []string{"PgSleep"}), "sessions wait for %q", waits)
	})
	c.insert(1, 2)
	bed.AwaitData("in", []string{"1"})
}

func TestColumnsAreFields(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	c.sql(`CREATE TABLE %s (id int PRIMARY KEY, uid uuid, key varchar(9), type text, body bytea, shop text, paid boolean, at timestamptz, n numeric, r text, tags text[], more json)`, c.table)
	c.sql(`INSERT INTO %s VALUES (7, '0fe0c1d2-0000-4000-8000-000000000001', 'k', 'created', '\x007aff', 'eu', true, '2026-01-02 03:04:05+02', 1.50, NULL, '{a,b}', '{"x": "\u0000"}')`, c.table)
	c.sql(`INSERT INTO %s (id, body, shop, paid) VALUES (8, NULL, 'eu', false)`, c.table)
	start(t, bed, func(s *feed.Spec) {
		s.Topic, s.Type, s.Key = "{header.shop}/{field.id}", "{field.type?}", "{key?}"
		s.Data = "{field.paid} {field.at?} {field.n?} {field.r?} {field.tags?} {field.more?} {body}"
	})
	bed.AwaitData("eu/*", []string{"true 2026-01-02 01:04:05+00 1.50  {a,b} {\"x\": \"\\u0000\"} \x00z\xff", "false      "})
	e := bed.Entries("eu/*")
	if first := e[0]; first.Type != "created" || first.Key != "k" || first.IdempotencyKey != "feed/test/7/0fe0c1d2-0000-4000-8000-000000000001" {
		t.Errorf("type %q, key %q, idempotency key %q", first.Type, first.Key, first.IdempotencyKey)
	}
	if oid := c.sql("SELECT '%s'::regclass::oid", c.table)[0]; e[1].IdempotencyKey != "feed/test/"+oid+"/8" {
		t.Errorf("idempotency key without a uid is %q", e[1].IdempotencyKey)
	}
	c.awaitRows(0)
}

func TestBodyIsAsItWasStored(t *testing.T) {
	for kind, want := range map[string]string{"bytea": "\\x\x00", "text": `\x5c7800`, "json": `{"b":1,  "a":"\u0000"}`, "jsonb": `{"a": "ü", "b": 1}`} {
		t.Run(kind, func(t *testing.T) {
			c, bed := connect(t), feedtest.New(t)
			c.table = "body_" + kind
			c.sql("DROP TABLE IF EXISTS %s; CREATE TABLE %[1]s (id serial PRIMARY KEY, body %s)", c.table, kind)
			value := map[string]string{"bytea": `\x5c7800`}[kind]
			if value == "" {
				value = want
			}
			c.sql("INSERT INTO %s (body) VALUES ('%s'), (NULL)", c.table, value)
			start(t, bed, func(s *feed.Spec) { s.Table = c.table })
			bed.AwaitData("in", []string{want, ""})
		})
	}
}

func TestRowWithoutABodyIsAnObject(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	c.sql(`CREATE TABLE %s (id text PRIMARY KEY, r int, t boolean, "A b" jsonb, x text)`, c.table)
	c.sql(`INSERT INTO %s VALUES ('a', 1, true, '[1]', NULL)`, c.table)
	start(t, bed, func(s *feed.Spec) { s.Topic = "in/{json.id}/{json.A b.0}" })
	bed.AwaitData("in/a/1", []string{`{"id":"a","r":1,"t":true,"A b":[1],"x":null}`})
}

// TestConnectionCutWhileFlowing loses answers, so that rows come again.
func TestConnectionCutWhileFlowing(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, shared.Addr())
	r := start(t, bed, func(s *feed.Spec) { s.From = over(relay) })
	cut := 0
	for i := range 12 {
		for k := range 20 {
			c.insert(i*200+k*10, i*200+k*10+10)
		}
		if i%4 == 3 {
			r.AwaitState(feed.Running)
			cut += relay.Cut()
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 2400))
	c.awaitRows(0)
	r.Stop()
	if s := r.Stats(); cut < 3 || s.Failures < 3 || s.Published != 2400 {
		t.Errorf("%d connections cut, Stats() = %+v", cut, s)
	}
}

// TestConnectionCutBeforeTheDelete has every row delivered twice.
func TestConnectionCutBeforeTheDelete(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, shared.Addr())
	bed.Log.Full.Store(true)
	c.insert(0, 100)
	r := start(t, bed, func(s *feed.Spec) { s.From = over(relay) })
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	feedtest.Await(t, "duplicates", func() error {
		s := r.Stats()
		return feedtest.Not(s.Duplicates == 100 && s.Published == 100, "%+v", s)
	})
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	c.awaitRows(0)
}

func TestServerKilledWhileFlowing(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	c.insert(0, 8000)
	r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 20 })
	some(t, bed, 1)
	shared.Kill()
	r.AwaitState(feed.Failing)
	if n := len(bed.Data("in")); n == 8000 {
		t.Fatal("all rows had arrived before the kill")
	}
	if err := shared.Start(); err != nil {
		t.Fatal(err)
	}
	c.dial()
	c.insert(8000, 9000)
	bed.AwaitData("in", feedtest.Numbers(0, 9000))
	c.awaitRows(0)
	if s := r.Stats(); s.Published != 9000 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestNothingIsDeletedWhileTheLogRefuses(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	c.insert(0, 1000)
	r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	if s := r.Stats(); s.State != feed.Failing || s.Received != 10 || s.Lag != 1000 || c.rows() != "1000" {
		t.Errorf("%s rows, Stats() = %+v", c.rows(), s)
	}
	// An open transaction would keep the whole server from removing dead rows.
	if states := c.sql("SELECT state FROM pg_stat_activity WHERE application_name = 'weir feed test'"); !slices.Equal(states, []string{"idle"}) {
		t.Errorf("sessions are %q, want one that is idle", states)
	}
	r.Stop()
	if c.rows() != "1000" {
		t.Errorf("%s rows, want 1000", c.rows())
	}
	bed.Log.Full.Store(false)
	r = start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	c.awaitRows(0)
	if s := r.Stats(); s.Duplicates != 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestStopDeletesWhatIsStored stops while rows flow: what is in the log has left the
// table, and what is not has not.
func TestStopDeletesWhatIsStored(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	c.insert(0, 5000)
	for range 5 {
		before := len(bed.Data("in"))
		r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 20 })
		feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) > before, "none") })
		r.Stop()
		if s := r.Stats(); s.Duplicates != 0 {
			t.Errorf("Stats() = %+v", s)
		}
		if got, want := c.rows(), fmt.Sprint(5000-len(bed.Data("in"))); got != want {
			t.Errorf("%s rows, want %s", got, want)
		}
	}
	start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 5000))
}

func TestPoisonLeavesTheTable(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	start(t, bed, func(s *feed.Spec) { s.Topic, s.Data = "{field.topic|path}", "{json.id}" })
	c.sql(`INSERT INTO %s (topic, body) VALUES ('in/a', '{"id":1}'), ('in/a', 'oh'), (NULL, '{"id":2}'), ('in/b', '{"id":3}')`, c.table)
	bed.AwaitData("in/*", []string{"1", "3"})
	c.awaitRows(0)
	if d := bed.Data("dead"); len(d) != 2 || !strings.Contains(d[0], "not JSON") || !strings.Contains(d[1], "{header.topic}: the message has none") {
		t.Errorf("dead letters are %q", d)
	}
}

func TestTableIsNotCreatedUnlessTold(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	r := start(t, bed, nil)
	awaitError(t, r, "does not exist: create it, or add declare: true")
	start(t, bed, func(s *feed.Spec) { s.Declare, s.Name = true, "maker" }).AwaitState(feed.Running)
	r.AwaitState(feed.Running)
	c.insert(0, 1)
	bed.AwaitData("in", feedtest.Numbers(0, 1))
}

func TestManyDeclareTheSameTable(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	var feeds []*feedtest.Running
	for range 8 {
		feeds = append(feeds, start(t, bed, func(s *feed.Spec) { s.Declare = true }))
	}
	for _, r := range feeds {
		r.AwaitState(feed.Running)
	}
	for _, r := range feeds {
		if s := r.Stats(); s.Failures != 0 {
			t.Errorf("Stats() = %+v", s)
		}
	}
	c.insert(0, 1)
	bed.AwaitData("in", feedtest.Numbers(0, 1))
}

func TestNamesAreThoseOfSQL(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	c.sql(`DROP SCHEMA IF EXISTS "My shop" CASCADE; CREATE SCHEMA "My shop"`)
	r := start(t, bed, func(s *feed.Spec) { s.Table, s.Notify, s.Declare = `"My shop".OUT_"`, "It's", true })
	awaitError(t, r, "not a valid identifier")
	r.Stop()
	start(t, bed, func(s *feed.Spec) { s.Table, s.Notify, s.Declare = `"My shop".OUTbox`, `It's "it"`, true }).AwaitState(feed.Running)
	c.sql(`INSERT INTO "My shop".outbox (body) VALUES ('a')`)
	bed.AwaitData("in", []string{"a"})
	c.sql(`ALTER TABLE "My shop".outbox DISABLE TRIGGER ALL; INSERT INTO "My shop".outbox (body) VALUES ('b'); SELECT pg_notify('It''s "it"', '')`)
	bed.AwaitData("in", []string{"a", "b"})
}

func TestOneReaderAtATime(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	first := start(t, bed, nil)
	c.insert(0, 1)
	bed.AwaitData("in", feedtest.Numbers(0, 1))
	second := start(t, bed, nil)
	second.AwaitState(feed.Running)
	for i := range 50 {
		c.insert(1+i*10, 11+i*10)
	}
	bed.AwaitData("in", feedtest.Numbers(0, 501))
	if s := second.Stats(); s.Received != 0 || s.Lag != -1 {
		t.Errorf("of the one that waits: Stats() = %+v", s)
	}
	first.Stop()
	c.insert(501, 600)
	bed.AwaitData("in", feedtest.Numbers(0, 600))
	if s := second.Stats(); s.Received != 99 || s.Failures != 0 {
		t.Errorf("of the one that took over: Stats() = %+v", s)
	}
}

// TestReaderWithoutItsLockDoesNotDelete has a second reader take the table while the
// first one, whose session has ended, still waits for the log.
func TestReaderWithoutItsLockDoesNotDelete(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	c.insert(0, 300)
	first := start(t, bed, nil)
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	c.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir feed test'")
	second := start(t, bed, nil)
	feedtest.Await(t, "what the second one reads", func() error { return feedtest.Not(second.Stats().Received > 0, "%+v", second.Stats()) })
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 300))
	c.awaitRows(0)
	feedtest.Await(t, "the end of the first one's session", func() error { return feedtest.Not(first.Stats().Failures > 1, "%+v", first.Stats()) })
	if s, s2 := first.Stats(), second.Stats(); s.Duplicates+s2.Duplicates != 256 || s.Published+s2.Published != 300 {
		t.Errorf("Stats() = %+v and %+v", s, s2)
	}
}

// TestIDsThatBeginAnewAreOtherRows would lose rows if the id alone were their name.
func TestIDsThatBeginAnewAreOtherRows(t *testing.T) {
	c, bed := connect(t), feedtest.New(t)
	const own = "DROP TABLE IF EXISTS %s; CREATE TABLE %[1]s (id serial PRIMARY KEY, body text)"
	with := func(declare bool, from int) {
		t.Helper()
		r := start(t, bed, func(s *feed.Spec) { s.Declare = declare })
		r.AwaitState(feed.Running)
		c.insert(from, from+2)
		r.Stop()
		r = start(t, bed, nil)
		bed.AwaitData("in", feedtest.Numbers(0, from+2))
		r.Stop()
	}
	c.sql(own, c.table)
	with(false, 0)
	c.sql(own, c.table)
	with(false, 2)
	c.sql("DROP TABLE %s", c.table)
	with(true, 4)
	c.sql("TRUNCATE %s RESTART IDENTITY", c.table)
	with(true, 6)
	c.sql("DROP TABLE %s", c.table)
	with(true, 8)
}

func TestTableChangesWhileItIsRead(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	r := start(t, bed, func(s *feed.Spec) { s.Data = "{field.shop?} {json.body?}" })
	c.sql("INSERT INTO %s (body) VALUES ('{}')", c.table)
	bed.AwaitData("in", []string{" "})
	c.sql("ALTER TABLE %s ADD shop text", c.table)
	c.sql("INSERT INTO %s (shop, body) VALUES ('eu', '{}')", c.table)
	bed.AwaitData("in", []string{" ", "eu "})
	c.sql("ALTER TABLE %s DROP body", c.table)
	c.sql("INSERT INTO %s (shop) VALUES ('us')", c.table)
	bed.AwaitData("in", []string{" ", "eu ", "us "})
	if s := r.Stats(); s.Failures != 1 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestUnfitTablesAreExplained(t *testing.T) {
	for name, want := range map[string]string{
		"id int":                         `want a column "id" that is unique and not null by itself`,
		"id int UNIQUE":                  `want a column "id" that is unique`,
		"id int, k int, UNIQUE (id, k)":  `want a column "id" that is unique`,
		"no int PRIMARY KEY":             `want a column "id" that is unique`,
		"id int PRIMARY KEY":             `the role "weak" needs SELECT and DELETE on it`,
		"id int PRIMARY KEY, kept int":   "0 of 1 stored rows of public.unfit could be deleted",
		"id int PRIMARY KEY, locked int": "canceling statement due to statement timeout",
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t)
			c.sql(`DROP TABLE IF EXISTS unfit; CREATE TABLE unfit (%s); INSERT INTO unfit VALUES (1); GRANT SELECT ON unfit TO weak;
				CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, name)
			user := "postgres"
			switch {
			case strings.Contains(want, "weak"):
				user = "weak:weak"
			case strings.Contains(name, "kept"):
				c.sql("CREATE TRIGGER keep BEFORE DELETE ON unfit FOR EACH ROW EXECUTE FUNCTION keep()")
			case strings.Contains(name, "locked"):
				c.sql("BEGIN; SELECT id FROM unfit FOR UPDATE")
			}
			bed := feedtest.New(t)
			r := start(t, bed, func(s *feed.Spec) { s.Table, s.From = "unfit", shared.URL(user) })
			awaitError(t, r, want)
		})
	}
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	for userinfo, want := range map[string]string{"guarded:hush1": "password authentication failed", "barred:hush": "is not permitted to log in"} {
		r := start(t, feedtest.New(t), func(s *feed.Spec) { s.From = shared.URL(userinfo) })
		awaitError(t, r, want)
		r.Stop()
	}
	for from, want := range map[string]string{
		"postgres://u:hush@h/?sslmode=no":              "sslmode is invalid",
		"postgres://h/?password=hush":                  "put the password before the host",
		"postgres://h/?sslmode=disable&password=hush":  "put the password before the host",
		"postgres://u:hush@h/?sslmode=require&port=-1": "sslmode=require, which does not go with ca-file",
		"postgres://u:hush@h/?sslmode=verify-ca&port=": "",
	} {
		_, err := postgres.New(feed.Spec{From: from, CAFile: map[bool]string{true: "file"}[strings.Contains(from, "port")]})
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
}

func TestTLS(t *testing.T) {
	c, bed := withTable(t), feedtest.New(t)
	dir := filepath.Join(t.TempDir(), "a b+c")
	password, ca := filepath.Join(dir, "password"), filepath.Join(dir, "ca.pem")
	pem, err := os.ReadFile(filepath.Join(shared.Dir, "cert.pem"))
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	secure := func(s *feed.Spec) {
		s.From = fmt.Sprintf("postgres://guarded@%s/postgres?sslmode=verify-full", shared.Addr())
		s.PasswordFile = password
	}
	r := start(t, bed, secure)
	awaitError(t, r, "password-file: open ")
	if err := os.WriteFile(password, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitError(t, r, "unknown authority")
	r.Stop()
	r = startPolling(t, bed, 20*time.Millisecond, func(s *feed.Spec) {
		secure(s)
		s.From, s.CAFile = fmt.Sprintf("postgres://guarded:sslmode=x@%s/postgres?ssl=true", shared.Addr()), ca
	})
	awaitError(t, r, "unable to read CA file")
	if err := os.WriteFile(ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	r.AwaitState(feed.Running)
	for i := range 10 { // while reads of the connection end at their deadlines
		c.insert(i, i+1)
		bed.AwaitData("in", feedtest.Numbers(0, i+1))
	}
	if encrypted := c.sql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'weir feed test'"); !slices.Equal(encrypted, []string{"t"}) {
		t.Errorf("sessions are encrypted: %q", encrypted)
	}
}
