package config_test

import (
	"reflect"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

func TestListenersMayBeNamedInTheFile(t *testing.T) {
	l := load(t, config.Input{File: inFile(t, `
listen:
  event-stream: {listen: "127.0.0.1:8288", handler: api}
  local:
    listen: unix:/run/weir.sock
  page: {listen: "[::1]:0", handler: page}
`)})
	want := []config.Listener{
		{Name: "event-stream", Network: "tcp", Address: "127.0.0.1:8288", Handler: "api"},
		{Name: "local", Network: "unix", Address: "/run/weir.sock", Handler: "all"},
		{Name: "page", Network: "tcp", Address: "[::1]:0", Handler: "page"},
	}
	if !reflect.DeepEqual(l.Settings.Listen, want) {
		t.Errorf("listeners are\n%+v, want\n%+v", l.Settings.Listen, want)
	}
	const text = "event-stream=127.0.0.1:8288 (api),local=unix:/run/weir.sock (all),page=[::1]:0 (page)"
	if got := value(t, l, "listen").Text; got != text {
		t.Errorf("shown as %q, want %q", got, text)
	}
}

func TestUnnamedListenersGetNames(t *testing.T) {
	l := load(t, flags("listen", "Localhost:1,127.0.0.1:0,127.0.0.1:0"))
	want := []config.Listener{
		{Name: "main", Network: "tcp", Address: "localhost:1", Handler: "all"},
		{Name: "main-2", Network: "tcp", Address: "127.0.0.1:0", Handler: "all"},
		{Name: "main-3", Network: "tcp", Address: "127.0.0.1:0", Handler: "all"},
	}
	if !reflect.DeepEqual(l.Settings.Listen, want) {
		t.Errorf("listeners are\n%+v, want\n%+v", l.Settings.Listen, want)
	}
}

func TestOnlyThisMachineReachesLoopback(t *testing.T) {
	for _, c := range []struct {
		text     string
		loopback bool
	}{
		{"127.0.0.1:1", true}, {"127.8.8.8:1", true}, {"[::1]:1", true}, {"localhost:1", true}, {"unix:/x", true},
		{"[::ffff:127.0.0.1]:1", true}, {"unix:x", true},
		{":1", false}, {"0.0.0.0:1", false}, {"[::]:1", false}, {"10.0.0.1:1", false}, {"example.com:1", false},
		{"[fe80::1%eth0]:1", false}, {"localhost.example.com:1", false}, {"127.1:1", false},
	} {
		in := flags("listen", c.text)
		in.Flags["open"] = []string{"true"}
		if got := load(t, in).Settings.Listen[0].Loopback(); got != c.loopback {
			t.Errorf("Loopback of %s = %v, want %v", c.text, got, c.loopback)
		}
	}
}

func TestOpenAllowsOtherMachines(t *testing.T) {
	in := flags("listen", "0.0.0.0:8288")
	in.Environ = []string{"WEIR_OPEN=1"}
	if got := load(t, in).Settings.Listen[0].String(); got != "0.0.0.0:8288" {
		t.Errorf("listens on %s, want 0.0.0.0:8288", got)
	}
}
