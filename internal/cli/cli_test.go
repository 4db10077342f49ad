package cli_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/cli"
)

// A result is what one run of the program leaves behind.
type result struct {
	code     int
	out, err string
}

// A call is one run of the program.
type call struct {
	ctx     context.Context // nil: one that does not end
	args    []string
	in      string
	environ []string
}

func (c call) run() result {
	var out, err bytes.Buffer
	ctx := c.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	code := cli.Run(ctx, c.args, cli.Streams{In: strings.NewReader(c.in), Out: &out, Err: &err, Environ: c.environ})
	return result{code, out.String(), err.String()}
}

func weir(args ...string) result { return call{args: args}.run() }

func expect(t *testing.T, args []string, got, want result) {
	t.Helper()
	if got != want {
		t.Errorf("weir %s gives\n%+v, want\n%+v", strings.Join(args, " "), got, want)
	}
}

// answering returns a server that answers every request alike.
func answering(t *testing.T, status int, header http.Header, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var problemHeader = http.Header{"Content-Type": {"application/problem+json"}}

// closedPort returns the URL of a port on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestWrongCallsAreUsageErrorsInOneLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"serv", `weir: unknown command "serv"; did you mean "serve"?`},
		{"strat", `weir: unknown command "strat"; did you mean "start"?`},
		{"xyzzy", `weir: unknown command "xyzzy"`},
		{"config shwo", `weir: config: unknown command "shwo"; did you mean "show"?`},
		{"completion bahs", `weir: completion: unknown command "bahs"; did you mean "bash"?`},
		{"serve --lisen :1", `weir: serve: unknown flag --lisen; did you mean --listen?`},
		{"serve --hub.max-mesage 1", `weir: serve: unknown flag --hub.max-mesage; did you mean --hub.max-message?`},
		{"sub -z a", `weir: sub: unknown flag -z`},
		{"serve --listen", `weir: serve: flag needs an argument: --listen`},
		{"serve extra", `weir: serve: wrong number of arguments (1); usage: weir serve [flags]`},
		{"pub", `weir: pub: no topic; usage: weir pub TOPIC [DATA]`},
		{"pub a b c", `weir: pub: wrong number of arguments (3); usage: weir pub TOPIC [DATA] [flags]`},
		{"pub a --id 1", `weir: pub: --id needs DATA: an ID belongs to one message`},
		{"pub a b --server ftp://x", `weir: pub: "ftp://x" is not the address of a server: write http://host:port or unix:/path`},
		{"pub a b --retry -1s", `weir: pub: --retry -1s is below the limit 0`},
		{"sub", `weir: sub: wrong number of arguments (0); usage: weir sub TOPIC... [flags]`},
		{"sub a --since 1m --last 5", `weir: sub: --since and --last cannot be combined: each says where to begin`},
		{"sub a --last -1", `weir: sub: --last -1 is below the limit 0`},
		{"sub a --last many", `weir: sub: invalid argument "many" for "--last" flag: strconv.ParseInt: parsing "many": invalid syntax`},
		{"sub a --count 0", `weir: sub: --count 0 is below the limit 1`},
		{"sub a --silence -1s", `weir: sub: --silence -1s is below the limit 0`},
		{"sub a --policy dif", `weir: sub: --policy "dif" is not one of all, diff, reset; did you mean "diff"?`},
		{"serve --hub.policy dif", `weir: serve: --hub.policy: "dif" is not one of all, diff, reset; did you mean "diff"?`},
		{"config check a --config b", `weir: config check: --config is not for this command: name the file alone`},
	} {
		args := strings.Fields(c.args)
		expect(t, args, weir(args...), result{2, "", c.want + "\n"})
	}
}

func TestWrongSettingsHaveTheirOwnCode(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("weir.yaml", []byte("pgae: true\nopen: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		call call
		want string
	}{
		{call{args: []string{"serve", "--config", "weir.yaml"}},
			"weir: serve: weir.yaml:1: unknown key \"pgae\"; did you mean \"page\"?\nweir: serve: weir.yaml:2: open: \"5\" is neither true nor false\n"},
		{call{args: []string{"serve", "--config", "none.yaml"}}, "weir: serve: none.yaml: no such file or directory\n"},
		{call{args: []string{"serve"}, environ: []string{"WEIR_PAGE=5"}}, "weir: serve: WEIR_PAGE: \"5\" is neither true nor false\n"},
		{call{args: []string{"serve", "--listen", "0.0.0.0:8288"}},
			"weir: serve: --listen: 0.0.0.0:8288 can be reached from other machines and anybody could do anything: say who may, as with --access.secret-file FILE, allow it to all with --open, or listen on 127.0.0.1\n"},
		{call{args: []string{"config", "check", "none.yaml"}}, "weir: config check: none.yaml: no such file or directory\n"},
	} {
		expect(t, c.call.args, c.call.run(), result{78, "", c.want})
	}
}

func TestServerTroubleHasTheRightCode(t *testing.T) {
	nobody := closedPort(t)
	noSocket := "unix:" + filepath.Join(t.TempDir(), "no.sock")
	html := answering(t, 404, http.Header{"Content-Type": {"text/html"}}, "<h1>what?</h1>")
	busy := answering(t, 503, problemHeader, `{"title":"Service Unavailable","status":503,"code":"unavailable","detail":"draining"}`)
	denied := answering(t, 403, problemHeader, `{"title":"Forbidden","status":403}`)
	topic := answering(t, 400, problemHeader, `{"title":"Bad Request","status":400,"code":"bad_topic","detail":"topic \"a//b\": empty segment at byte 2","line":1,"published":0}`)
	evil := answering(t, 400, problemHeader, `{"code":"x","detail":"\u001b[31mred\u202e"}`)
	page := answering(t, 200, http.Header{"Content-Type": {"text/html"}}, "hello")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"pub", "a", "b", "--server", nobody, "--retry", "0"}, 69, "weir: pub: no answer from " + nobody + ": connection refused\n"},
		{[]string{"pub", "a", "--server", nobody, "--retry", "0"}, 69, "weir: pub: no answer from " + nobody + ": connection refused\n"},
		{[]string{"serve", "--log", strings.Replace(nobody, "http", "redis", 1)}, 69, "weir: serve: nodes.log: redislog: connect: dial tcp " + strings.TrimPrefix(nobody, "http://") + ": connect: connection refused\n"},
		{[]string{"sub", "a", "--server", nobody}, 69, "weir: sub: no answer from " + nobody + ": connection refused\n"},
		{[]string{"sub", "a", "--server", noSocket}, 69, "weir: sub: no answer from " + noSocket + ": no such file or directory\n"},
		{[]string{"pub", "a", "b", "--server", busy, "--retry", "0"}, 75, "weir: pub: unavailable: draining\n"},
		{[]string{"pub", "a", "--server", busy, "--retry", "0"}, 75, "weir: pub: unavailable: draining\n"},
		{[]string{"pub", "a", "b", "--server", denied}, 77, "weir: pub: Forbidden\n"},
		{[]string{"pub", "a//b", "b", "--server", topic}, 1, "weir: pub: bad_topic: topic \"a//b\": empty segment at byte 2\n"},
		{[]string{"sub", "a//b", "--server", topic}, 1, "weir: sub: bad_topic: topic \"a//b\": empty segment at byte 2\n"},
		{[]string{"pub", "a", "b", "--server", html}, 1, "weir: pub: " + html + "/v1/events answers 404 Not Found; is it a weir server?\n"},
		{[]string{"pub", "a", "b", "--server", evil}, 1, "weir: pub: x: \\x1b[31mred\\u202e\n"},
		{[]string{"sub", "a", "--server", page}, 1, "weir: sub: " + page + " answers with \"text/html\", not with messages; is it a weir server?\n"},
	} {
		in := call{args: c.args, in: "one line\n"}
		expect(t, c.args, in.run(), result{c.code, "", c.want})
	}
}

func TestServerIsFoundByFlagOrVariable(t *testing.T) {
	here := answering(t, 200, nil, `{"published":1,"last_id":"flag"}`)
	there := answering(t, 200, nil, `{"published":1,"last_id":"variable"}`)
	args := []string{"pub", "a", "b"}
	environ := []string{"WEIR_SERVER=" + strings.TrimPrefix(there, "http://")}
	expect(t, args, call{args: args, environ: environ}.run(), result{0, "variable\n", ""})
	args = append(args, "--server", here)
	expect(t, args, call{args: args, environ: environ}.run(), result{0, "flag\n", ""})
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"serve", "--help"}, {"config"}, {"config", "init", "-h"}, {"completion"}} {
		if got := weir(args...); got.code != 0 || got.err != "" || !strings.Contains(got.out, "Usage:") {
			t.Errorf("weir %v gives %+v, want help on standard output", args, got)
		}
	}
	if got := weir("serve", "-h").out; !strings.Contains(got, "--hub.max-message size") || !strings.Contains(got, "(default 1MiB)") {
		t.Errorf("help of serve lacks --hub.max-message with type and default:\n%s", got)
	}
}

func TestVersionTellsWhatIsRunning(t *testing.T) {
	if got := weir("version"); got.code != 0 || !strings.HasPrefix(got.out, "weir ") || !strings.Contains(got.out, "\ngo1.") {
		t.Errorf("weir version gives %+v", got)
	}
	if got := weir("version", "--json"); !strings.Contains(got.out, `"version":"`) || !strings.Contains(got.out, `"go":"go1.`) {
		t.Errorf("weir version --json gives %+v", got)
	}
	if got := weir("--version"); !strings.HasPrefix(got.out, "weir ") {
		t.Errorf("weir --version gives %+v", got)
	}
}
