package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOnlyMissingProgramsAreInstalled(t *testing.T) {
	allBut := func(command string) bool { return command != "chromium" }
	if got := packagesOf(missing(needs, allBut)); !slices.Equal(got, []string{"chromium"}) {
		t.Errorf("with all but chromium: install %q", got)
	}
	if got := missing(needs, func(string) bool { return true }); got != nil {
		t.Errorf("with everything: install %v", got)
	}
}

func TestRefusalToInstallSaysWhatToDo(t *testing.T) {
	packages := []string{"curl", "npm"}
	for _, tt := range []struct {
		apt  bool
		euid int
		want string // "": no error
	}{
		{true, 0, ""},
		{true, 1000, "as root run: apt-get install curl npm"},
		{false, 0, "no apt-get"},
		{false, -1, "no apt-get"}, // Windows
	} {
		err := mayInstall(packages, tt.apt, tt.euid)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("mayInstall(apt %v, euid %d) = %v, want nil", tt.apt, tt.euid, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("mayInstall(apt %v, euid %d) = %v, want one line with %q", tt.apt, tt.euid, err, tt.want)
		}
	}
}

func TestNodePackagesAreStaleWhenTheLockFileIsNewer(t *testing.T) {
	dir := writeFiles(t, map[string]string{"product": "", "source": ""})
	product, source := filepath.Join(dir, "product"), filepath.Join(dir, "source")
	at := func(path string, seconds int64) {
		if err := os.Chtimes(path, time.Unix(seconds, 0), time.Unix(seconds, 0)); err != nil {
			t.Fatal(err)
		}
	}
	at(source, 100)
	for seconds, want := range map[int64]bool{99: false, 100: true, 101: true} {
		if at(product, seconds); upToDate(product, source) != want {
			t.Errorf("source of second 100, product of second %d: up to date is %v", seconds, !want)
		}
	}
	if upToDate(filepath.Join(dir, "absent"), source) {
		t.Error("an absent product is up to date")
	}
}

// TestLockFilePinsWithoutAddresses holds two rules: what package.json asks for is
// one exact version, and the lock file names no registry, so that it works with
// any.
func TestLockFilePinsWithoutAddresses(t *testing.T) {
	type manifest struct {
		Dependencies map[string]string
		Packages     map[string]struct{ Version, Resolved, Integrity string }
	}
	read := func(name string) (m manifest) {
		b, err := os.ReadFile(filepath.Join("node", name))
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	lock := read("package-lock.json")
	for name, version := range read("package.json").Dependencies {
		if locked := lock.Packages["node_modules/"+name].Version; locked != version {
			t.Errorf("package.json asks for %s %s, the lock file pins %q", name, version, locked)
		}
	}
	for path, p := range lock.Packages {
		if path != "" && (p.Resolved != "" || p.Integrity == "") {
			t.Errorf("lock file, %s: resolved %q, integrity %q; want no address and a checksum", path, p.Resolved, p.Integrity)
		}
	}
}
