package cli_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestConfigShowNamesEachOrigin(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("my.yaml", []byte("hub:\n  policy: all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := call{
		args:    []string{"config", "show", "--log.level", "debug", "--open"},
		environ: []string{"WEIR_CONFIG=my.yaml", "WEIR_PAGE=off", "WEIR_PAEG=on"},
	}
	got := c.run()
	for _, want := range []string{
		`log\.level +debug +--log\.level`, `open +true +--open`, `page +false +WEIR_PAGE`, `hub\.policy +all +my\.yaml:2`, `hub\.slow +catch-up +default`, `cors\.origins +- +default`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(got.out) {
			t.Errorf("no line matches %q in\n%s", want, got.out)
		}
	}
	if want := "weir: warning: WEIR_PAEG is not a setting and is ignored; did you mean \"WEIR_PAGE\"?\n"; got.err != want {
		t.Errorf("standard error is %q, want %q", got.err, want)
	}

	c.args = append(c.args, "--json")
	var list []struct {
		Name, Origin string
		Value        any
	}
	if err := json.Unmarshal([]byte(c.run().out), &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if v.Name == "page" && (v.Value != false || v.Origin != "WEIR_PAGE") {
			t.Errorf("page is %v from %s, want false from WEIR_PAGE", v.Value, v.Origin)
		}
	}
	if len(list) < 20 {
		t.Errorf("%d settings shown as JSON", len(list))
	}
}

func TestConfigCheckAcceptsWhatInitWrites(t *testing.T) {
	t.Chdir(t.TempDir())
	expect(t, []string{"config", "init"}, weir("config", "init"), result{0, "wrote weir.yaml; use it with weir serve --config weir.yaml\n", ""})
	expect(t, []string{"config", "check"}, weir("config", "check", "weir.yaml"), result{0, "weir.yaml: ok, 0 settings\n", ""})

	again := weir("config", "init")
	expect(t, []string{"config", "init"}, again, result{1, "", "weir: config init: weir.yaml exists already; replace it with --force\n"})
	if got := weir("config", "init", "--force"); got.code != 0 {
		t.Errorf("config init --force gives %+v", got)
	}
	written, _ := os.ReadFile("weir.yaml")
	if got := weir("config", "init", "-"); got.out != string(written) || got.code != 0 {
		t.Errorf("config init - differs from the file it writes: %+v", got)
	}
}

func TestConfigCheckTakesFlagsIntoAccount(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("w.yaml", []byte("listen: 0.0.0.0:80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := weir("config", "check", "w.yaml"); got.code != 78 || !strings.HasPrefix(got.err, "weir: config check: w.yaml:1: listen: 0.0.0.0:80 can be reached") {
		t.Errorf("config check gives %+v, want a refusal", got)
	}
	expect(t, nil, weir("config", "check", "w.yaml", "--open"), result{0, "w.yaml: ok, 1 settings\n", ""})
}

func TestConfigDocsPrintsTheSettingsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, []string{"config", "docs"}, weir("config", "docs"), result{0, string(page), ""})
}
