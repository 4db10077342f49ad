package packages_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files are those of the Debian package, with their modes.
var files = []string{
	"etc/weir/weir.yaml -rw-r--r--",
	"usr/bin/weir -rwxr-xr-x",
	"usr/lib/systemd/system/weir.service -rw-r--r--",
	"usr/lib/sysusers.d/weir.conf -rw-r--r--",
	"usr/share/bash-completion/completions/weir -rw-r--r--",
	"usr/share/doc/weir/copyright -rw-r--r--",
	"usr/share/fish/vendor_completions.d/weir.fish -rw-r--r--",
	"usr/share/zsh/vendor-completions/_weir -rw-r--r--",
}

// A machine is a directory that dpkg takes for one. Scripts of packages run outside and
// are told the directory (dpkg(1), force-script-chrootless).
type machine struct {
	t   *testing.T
	dir string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t, t.TempDir()}
	write(t, m.path("var/lib/dpkg/status"), "")
	write(t, m.path("etc/hostname"), "machine\n") // another package's file: etc stays
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

// dpkg runs it as root, or as one who looks like root to it.
func (m *machine) dpkg(args ...string) {
	m.t.Helper()
	all := append([]string{"dpkg", "--root=" + m.dir, "--force-script-chrootless", "--force-architecture", "--log=" + m.path("log")}, args...)
	if os.Geteuid() != 0 {
		all = append([]string{"unshare", "-r"}, all...)
	}
	m.t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	tool(m.t, all...)
}

// list returns the files of packages, with their modes.
func (m *machine) list() (names []string) {
	m.t.Helper()
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(m.dir, path)
		if strings.Contains(name, "weir") && !strings.HasPrefix(name, "var/lib/dpkg/") {
			names = append(names, name+" "+info.Mode().String())
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return names
}

func TestDebianPackageComesAndGoes(t *testing.T) {
	m := newMachine(t)
	m.dpkg("--install", debPath)
	if got := m.list(); !slices.Equal(got, files) {
		t.Errorf("it installs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(files, "\n"))
	}
	if users := read(t, m.path("etc/passwd")); !strings.Contains(users, "weir:x:") || !strings.Contains(users, ":/usr/sbin/nologin") {
		t.Errorf("users are %q", users)
	}
	settings := m.path("etc/weir/weir.yaml")
	if out := tool(t, m.path("usr/bin/weir"), "config", "check", settings); !strings.Contains(out, ": ok, 0 settings") {
		t.Errorf("its settings: %s", out)
	}
	tool(t, "bash", "-n", m.path("usr/share/bash-completion/completions/weir"))

	// Whoever has changed the settings keeps them, over an upgrade and a removal; and messages.
	const changed = "hub: {max-message: 1KiB}\n"
	write(t, settings, changed)
	write(t, m.path("var/lib/weir/weir.db"), "messages")
	m.dpkg("--install", debPath)
	m.dpkg("--remove", "weir")
	want := []string{"etc/weir/weir.yaml -rw-r--r--", "var/lib/weir/weir.db -rw-r--r--"}
	if got := m.list(); !slices.Equal(got, want) || read(t, settings) != changed {
		t.Errorf("after it has been removed there are %q, want %q", got, want)
	}
	m.dpkg("--purge", "weir")
	if got := m.list(); len(got) != 0 {
		t.Errorf("after it has been purged there are %q", got)
	}
}

// TestPackagedUnitIsTheOneThatWasVerified, and its settings are where the unit says.
func TestPackagedUnitIsTheOneThatWasVerified(t *testing.T) {
	dir := t.TempDir()
	tool(t, "dpkg-deb", "--extract", debPath, dir)
	unit := read(t, filepath.Join(dir, "usr/lib/systemd/system/weir.service"))
	if unit != read(t, filepath.Join(root, "deploy/weir.service")) {
		t.Error("the unit is another one")
	}
	if !strings.Contains(unit, "\nExecStart=/usr/bin/weir serve --quiet --config /etc/weir/weir.yaml ") {
		t.Error("the unit does not use the program and the settings of the package")
	}
	if !strings.Contains(unit, "\nUser=weir\n") {
		t.Error("the unit does not use the user of the package")
	}
}

// TestScriptsOfPackagesAreShell runs them as rpm does, on a machine without systemd.
func TestScriptsOfPackagesAreShell(t *testing.T) {
	control := t.TempDir()
	tool(t, "dpkg-deb", "--control", debPath, control)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		tool(t, "sh", "-n", filepath.Join(control, script))
	}
	if got := read(t, filepath.Join(control, "conffiles")); got != "/etc/weir/weir.yaml\n" {
		t.Errorf("settings that dpkg keeps are %q", got)
	}
}

// TestRPMIsOne: rpm's own tools are not there, so only its head is looked at.
func TestRPMIsOne(t *testing.T) {
	text := read(t, rpmPath)
	if !strings.HasPrefix(text, "\xed\xab\xee\xdb\x03") || !strings.Contains(text[:96], "weir-1.2.3-1\x00") {
		t.Errorf("it begins with %q", text[:96])
	}
}
