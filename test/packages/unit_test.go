package packages_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxExposure is what "systemd-analyze security" may find, in tenths: 0 is a service
// without any right, 100 one with all. A server needs the network.
const maxExposure = "13"

// writeUnit puts the unit into a directory of the test, to run the program that was built.
func writeUnit(t *testing.T) string {
	t.Helper()
	unit := filepath.Join(t.TempDir(), "weir.service")
	text := read(t, filepath.Join(root, "deploy", "weir.service"))
	if strings.Count(text, "=/usr/bin/weir ") != 1 {
		t.Fatal("the unit does not start /usr/bin/weir once")
	}
	write(t, unit, strings.Replace(text, "=/usr/bin/weir ", "="+weirPath+" ", 1))
	return unit
}

// verify has systemd read a unit. It exits with 0 also if it ignores a line.
func verify(t *testing.T, unit string) {
	t.Helper()
	for line := range strings.Lines(tool(t, "systemd-analyze", "verify", "--man=no", unit)) {
		if strings.Contains(line, "weir") { // else it is about a unit of this machine
			t.Error(line)
		}
	}
}

func TestSystemdUnderstandsTheUnit(t *testing.T) { verify(t, writeUnit(t)) }

func TestSystemdFindsTheUnitHardened(t *testing.T) {
	out, err := tryTool("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+maxExposure, writeUnit(t))
	if err != nil || !strings.Contains(out, "Overall exposure level for weir.service") {
		t.Errorf("exposure is above %s tenths: %v\n%s", maxExposure, err, out)
	}
}

// TestSystemdUnderstandsTheDocumentedDropIns puts each beside the unit.
func TestSystemdUnderstandsTheDocumentedDropIns(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```ini\n# /etc/systemd/system/weir.service.d/(\\w+\\.conf)\n(.*?)^```$")
	found := blocks.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "operate.md")), -1)
	if len(found) != 2 {
		t.Fatalf("operate.md has %d drop-ins, want 2", len(found))
	}
	for _, m := range found {
		t.Run(m[1], func(t *testing.T) {
			unit := writeUnit(t)
			write(t, filepath.Join(unit+".d", m[1]), m[2])
			verify(t, unit)
		})
	}
}
