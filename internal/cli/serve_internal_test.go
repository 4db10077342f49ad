package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// A fake is a backend that does what its fields say.
type fake struct {
	reloaded  []*config.Settings
	refuses   error // of Reload
	onReload  func() error
	settings  *config.Settings
	log       *slog.Logger
	start     error
	listeners []listener
	ran       bool
}

func (f *fake) Start() error          { return f.start }
func (f *fake) Listeners() []listener { return f.listeners }

func (f *fake) Reload(now *config.Settings) error {
	f.reloaded = append(f.reloaded, now)
	return f.refuses
}
func (f *fake) OnReload(fn func() error) { f.onReload = fn }
func (f *fake) OnDrain(func())           {}

func (f *fake) Run(ctx context.Context) error {
	f.ran = true
	f.log.Info("stopped")
	<-ctx.Done()
	return nil
}

// serveWith runs serve on f with a context that has ended.
func serveWith(t *testing.T, f *fake, args ...string) (code int, out, err string) {
	t.Helper()
	before := newBackend
	t.Cleanup(func() { newBackend = before })
	newBackend = func(s *config.Settings, log *slog.Logger) (backend, error) {
		f.settings, f.log = s, log
		return f, nil
	}
	var o, e bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code = Run(ctx, append([]string{"serve"}, args...), Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestServeShowsWhereMessagesAreKept(t *testing.T) {
	_, out, _ := serveWith(t, &fake{}, "--data", "state", "--disk.durability", "interval")
	for _, want := range []string{"DURABILITY\n", "interval\n", "\nkept in state\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestServeShowsWhoKeepsTheMessagesOfAllNodes(t *testing.T) {
	_, out, _ := serveWith(t, &fake{}, "--log", "redis://weir:geheim@redis.internal:6379")
	if want := "\nkept at redis://weir:xxxxx@redis.internal:6379, for all nodes\n"; !strings.Contains(out, want) || strings.Contains(out, "in memory") {
		t.Errorf("%q is not in\n%s", want, out)
	}
}

func TestServeShowsWhereItCanBeReached(t *testing.T) {
	f := &fake{listeners: []listener{
		{"sock", "unix:/run/weir.sock", "all"},
		{"looks", "http://127.0.0.1:9000/", "page"},
		{"main", "http://127.0.0.1:8080/", "all"},
	}}
	code, out, err := serveWith(t, f, "--history.max-age", "0", "--log.format", "json")
	_, table, _ := strings.Cut(out, "\n\n") // after the version
	want := `LISTENER   URL                      HANDLER   STATE
sock       unix:/run/weir.sock      all       ready
looks      http://127.0.0.1:9000/   page      ready
main       http://127.0.0.1:8080/   all       ready

TOPICS       MESSAGES   AGE        BYTES
all others   10000      no limit   16MiB

kept in memory; --data DIR keeps messages over restarts

read:     curl -N http://127.0.0.1:8080/v1/topics/greetings
publish:  curl -d hello http://127.0.0.1:8080/v1/topics/greetings
`
	if code != 0 || table != want || !f.ran {
		t.Errorf("serve exits with %d and shows\n%swant\n%s", code, table, want)
	}
	if !strings.HasPrefix(err, `{"time":`) || !strings.Contains(err, `"msg":"stopped"`) {
		t.Errorf("log is %q, want JSON", err)
	}
	if f.settings.History.MaxAge != 0 {
		t.Errorf("the server got %+v", f.settings.History)
	}
}

func TestServeTellsRulesOfTopics(t *testing.T) {
	for _, c := range []struct {
		rule config.TopicRule
		want string
	}{
		{config.TopicRule{Topic: "a", MaxMessages: -1, MaxAge: 5, MaxBytes: 5}, "a\tnone\t-\t-"},
		{config.TopicRule{Topic: "a"}, "a\tno limit\tno limit\tno limit"},
		{config.TopicRule{Topic: "a", MaxMessages: 5, MaxBytes: 1 << 20}, "a\t5\tno limit\t1MiB"},
	} {
		if got := kept(c.rule); got != c.want {
			t.Errorf("kept(%+v) = %q, want %q", c.rule, got, c.want)
		}
	}
}

func TestServePrintsForPrograms(t *testing.T) {
	f := &fake{listeners: []listener{{"main", "http://127.0.0.1:1/", "all"}}}
	_, out, _ := serveWith(t, f, "--json")
	if want := `{"listeners":[{"name":"main","url":"http://127.0.0.1:1/","handler":"all"}]}` + "\n"; out != want {
		t.Errorf("serve --json prints %q, want %q", out, want)
	}
	if _, out, _ = serveWith(t, f, "--quiet"); out != "" {
		t.Errorf("serve --quiet prints %q", out)
	}
}

func TestStartIsServe(t *testing.T) {
	f := new(fake)
	serveWith(t, f) // sets newBackend
	if code := Run(f.ctx(t), []string{"start", "-q"}, Streams{In: strings.NewReader(""), Out: new(bytes.Buffer), Err: new(bytes.Buffer)}); code != 0 {
		t.Errorf("start exits with %d", code)
	}
}

func (f *fake) ctx(t *testing.T) context.Context { return ended(t.Context()) }

func TestPortThatIsTakenIsOneClearLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, taken := net.Listen("tcp", l.Addr().String())
	f := &fake{start: taken}
	code, out, said := serveWith(t, f)
	if want := "weir: serve: " + taken.Error() + "\n"; code != 69 || out != "" || said != want || !strings.Contains(said, l.Addr().String()) {
		t.Errorf("serve exits with %d and says %q, want 69 and %q", code, said, want)
	}
}

func TestLogLevelIsKept(t *testing.T) {
	var b bytes.Buffer
	log, level := newLogger(&b, config.Log{Format: "text", Level: "warn"})
	log.Info("no")
	log.Warn("yes")
	setLevel(level, "info")
	log.Info("now")
	if got := b.String(); strings.Contains(got, "msg=no\n") || !strings.Contains(got, "msg=now") || !strings.Contains(got, "level=WARN msg=yes") {
		t.Errorf("log is %q", got)
	}
}

func TestTableThatCannotBePrintedStopsTheServer(t *testing.T) {
	f := &fake{start: errors.New("x")}
	serveWith(t, f)
	f.start = nil
	var e bytes.Buffer
	code := Run(t.Context(), []string{"serve"}, Streams{In: strings.NewReader(""), Out: broken{}, Err: &e})
	if code != 1 || !f.ran || !strings.Contains(e.String(), "weir: serve: print the listeners: full") {
		t.Errorf("serve exits with %d, ran %v, says %q", code, f.ran, e.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }
