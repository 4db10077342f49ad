package config_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/settings.md")

func TestSettingsPageIsCurrent(t *testing.T) {
	const path = "../../docs/settings.md"
	var page bytes.Buffer
	if err := config.WriteMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, page.Bytes()) {
		t.Errorf("%s is stale: run go generate ./internal/config", path)
	}
}

func TestTemplateHoldsEveryDefault(t *testing.T) {
	var b bytes.Buffer
	if err := config.WriteTemplate(&b); err != nil {
		t.Fatal(err)
	}
	want := load(t, config.Input{}).Settings
	if got := load(t, config.Input{File: inFile(t, b.String())}).Settings; !reflect.DeepEqual(got, want) {
		t.Errorf("the template gives %+v, want the defaults", got)
	}

	// Settings are commented out as "#name: value", explanations as "# Text".
	active := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(b.String(), "$1$2")
	l := load(t, config.Input{File: inFile(t, active)})
	if !reflect.DeepEqual(l.Settings, want) {
		t.Errorf("the template with all lines active gives %+v, want the defaults", l.Settings)
	}
	for _, v := range l.Values {
		if v.Origin.Kind != config.FromFile {
			t.Errorf("the template lacks %s", v.Name)
		}
	}
}
