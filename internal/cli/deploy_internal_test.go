package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// The files in deploy start the program. What they start it with is given to the
// command here.

func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unitValues returns the values of all lines of a unit that set a key.
func unitValues(unit, key string) (values []string) {
	for line := range strings.Lines(unit) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && k == key {
			values = append(values, v)
		}
	}
	return values
}

// unitValue is the one value of a key.
func unitValue(t *testing.T, unit, key string) string {
	t.Helper()
	values := unitValues(unit, key)
	if len(values) != 1 {
		t.Fatalf("weir.service sets %s %d times, want once", key, len(values))
	}
	return values[0]
}

func TestUnitStartsTheServer(t *testing.T) {
	unit := deployed(t, "weir.service")
	command := strings.Fields(unitValue(t, unit, "ExecStart"))
	if len(command) < 2 || command[0] != "/usr/bin/weir" || command[1] != "serve" {
		t.Fatalf("ExecStart is %q", command)
	}
	for i, arg := range command { // what systemd puts in: man systemd.unit, "Specifiers"
		command[i] = strings.ReplaceAll(arg, "%S", "/var/lib")
		if arg == "/etc/weir/weir.yaml" { // which the package brings
			command[i] = freshSettings(t)
		}
		if strings.ContainsAny(command[i], "%$'\"\\;") {
			t.Errorf("ExecStart: %q means something to systemd", arg)
		}
	}
	f := new(fake)
	if code, out, err := serveWith(t, f, command[2:]...); code != 0 || out != "" || !f.ran {
		t.Fatalf("weir serve %q exits with %d, prints %q and says %q", command[2:], code, out, err)
	}
	if want := "/var/lib/" + unitValue(t, unit, "StateDirectory"); f.settings.Data != want {
		t.Errorf("--data is %q, and the unit may write to %q", f.settings.Data, want)
	}
	stop, err := strconv.Atoi(unitValue(t, unit, "TimeoutStopSec"))
	if drain := f.settings.Drain.Timeout; err != nil || time.Duration(stop)*time.Second < drain+5*time.Second {
		t.Errorf("TimeoutStopSec is %d, and a drain takes up to %v", stop, drain)
	}
	for _, l := range f.settings.Listen {
		if !l.Loopback() {
			t.Errorf("it listens on %s", l)
		}
	}
}

// freshSettings returns a file that weir config init has written.
func freshSettings(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := writeTemplate(file, false); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestUnitReloadsByTheSignalThatServeListensFor: a reload must not end the service.
func TestUnitReloadsByTheSignalThatServeListensFor(t *testing.T) {
	unit := deployed(t, "weir.service")
	if got := unitValue(t, unit, "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
		t.Errorf("ExecReload is %q", got)
	}
	if got := unitValue(t, unit, "Type"); got != "notify" {
		t.Errorf("Type is %q; systemd 252 knows notify, and serve says READY=1", got)
	}
}

// TestUnitDoesNotRepeatWhatCannotWork compares with the exit codes of the command.
func TestUnitDoesNotRepeatWhatCannotWork(t *testing.T) {
	codes := strings.Fields(unitValue(t, deployed(t, "weir.service"), "RestartPreventExitStatus"))
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--nothing"}, exitUsage},
		{[]string{"--listen", "0.0.0.0:1"}, exitConfig},
		{[]string{"--config", filepath.Join(t.TempDir(), "missing")}, exitConfig},
	} {
		if code, _, err := serveWith(t, new(fake), c.args...); code != c.code || !slices.Contains(codes, strconv.Itoa(code)) {
			t.Errorf("weir serve %q exits with %d (%s), want %d; systemd knows %q", c.args, code, err, c.code, codes)
		}
	}
}

// TestUnitIsHardened looks for what keeps the program in bounds, and for room for clients.
func TestUnitIsHardened(t *testing.T) {
	unit := deployed(t, "weir.service")
	for key, want := range map[string]string{
		"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes", "PrivateTmp": "yes",
		"CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "LimitNOFILE": "1048576",
	} {
		if got := unitValue(t, unit, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestImageStartsTheServer(t *testing.T) {
	file := deployed(t, "Dockerfile")
	var entry, cmd []string
	for instruction, words := range map[string]*[]string{"ENTRYPOINT": &entry, "CMD": &cmd} {
		m := regexp.MustCompile(`(?m)^`+instruction+` (\[.*\])$`).FindAllStringSubmatch(file, -1)
		if len(m) != 1 || json.Unmarshal([]byte(m[0][1]), words) != nil {
			t.Fatalf("%s is there %d times: %q", instruction, len(m), m)
		}
	}
	if !slices.Equal(entry, []string{"/weir"}) || len(cmd) == 0 || cmd[0] != "serve" {
		t.Fatalf("it runs %q %q", entry, cmd)
	}
	f := new(fake)
	if code, _, err := serveWith(t, f, cmd[1:]...); code != 0 || !f.ran {
		t.Fatalf("weir serve %q exits with %d and says %q", cmd[1:], code, err)
	}
	want := config.Listener{Name: "main", Network: "tcp", Address: "0.0.0.0:8080", Handler: "all"}
	if !slices.Equal(f.settings.Listen, []config.Listener{want}) || !strings.Contains(file, "\nEXPOSE 8080\n") {
		t.Errorf("it listens on %+v, want %+v, exposed", f.settings.Listen, want)
	}
	if f.settings.Data == "" || !strings.Contains(file, "\nVOLUME "+f.settings.Data+"\n") {
		t.Errorf("--data is %q, which is no volume", f.settings.Data)
	}
	if !strings.Contains(file, ` CMD ["/weir", "health"]`+"\n") || !strings.HasSuffix(defaultServer, ":8080") {
		t.Errorf("its health is not asked at %s", defaultServer)
	}
	if !regexp.MustCompile(`(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`).MatchString(file) {
		t.Error("it runs as root")
	}
}
