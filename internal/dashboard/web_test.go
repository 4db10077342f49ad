package dashboard_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/dashboard"
)

// An element is a start tag of the page and the text that follows it directly.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// elements reads the page's tags.
func elements(t *testing.T) []element {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(source(t, "index.html")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var list []element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("index.html: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			attrs := make(map[string]string)
			for _, a := range token.Attr {
				attrs[a.Name.Local] = a.Value
			}
			list = append(list, element{name: token.Name.Local, attrs: attrs})
		case xml.CharData:
			if len(list) > 0 {
				list[len(list)-1].text += string(token)
			}
		}
	}
}

func source(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(dashboard.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// names lists the page's files with an ending.
func names(t *testing.T, ending string) []string {
	t.Helper()
	list, err := fs.Glob(dashboard.Files(), "*"+ending)
	if err != nil || len(list) == 0 {
		t.Fatalf("files with ending %s: %v, %v", ending, list, err)
	}
	return list
}

func TestPageHasNoInlineScriptOrStyle(t *testing.T) {
	for _, e := range elements(t) {
		for name := range e.attrs {
			if name == "style" || strings.HasPrefix(name, "on") {
				t.Errorf("<%s> has the attribute %s, which the policy forbids", e.name, name)
			}
		}
		switch {
		case e.name == "style":
			t.Error("<style> in the page, which the policy forbids")
		case e.name == "script" && (e.attrs["src"] == "" || strings.TrimSpace(e.text) != ""):
			t.Errorf("a <script> holds code (src %q), which the policy forbids", e.attrs["src"])
		case e.name == "base" || e.name == "iframe" || e.name == "object":
			t.Errorf("<%s> in the page, which the policy forbids", e.name)
		}
	}
}

func TestScriptsDoNothingThePolicyForbids(t *testing.T) {
	// Besides what the policy stops, what makes markup of text.
	forbidden := regexp.MustCompile(`\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|['"]style['"]|javascript:|cssText`)
	for _, name := range names(t, ".js") {
		if found := forbidden.Find(source(t, name)); found != nil {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

// TestOnlyTwoScriptsStoreSomething holds for tokens and keys: they stay in the tab.
func TestOnlyTwoScriptsStoreSomething(t *testing.T) {
	may := map[string]string{"access.js": "sessionStorage", "theme.js": "localStorage"}
	stores := regexp.MustCompile(`localStorage|sessionStorage|indexedDB|document\.cookie|window\.name|\bcaches\b`)
	for _, name := range names(t, ".js") {
		for _, found := range stores.FindAll(source(t, name), -1) {
			if string(found) != may[name] {
				t.Errorf("%s uses %s", name, found)
			}
		}
	}
}

// TestNoFieldForSecretsIsSentByTheBrowser looks at what would get into an address or a
// request if the scripts did not run: fields with a name.
func TestNoFieldForSecretsIsSentByTheBrowser(t *testing.T) {
	found := 0
	for _, e := range elements(t) {
		if e.attrs["type"] != "password" {
			continue
		}
		found++
		if e.attrs["name"] != "" || e.attrs["autocomplete"] != "off" || e.attrs["value"] != "" {
			t.Errorf("the field %q has %q, want autocomplete off, and neither name nor value", e.attrs["id"], e.attrs)
		}
	}
	if found == 0 {
		t.Error("the page has no field for a token or key")
	}
}

func TestPageLoadsEveryFileAndNothingElse(t *testing.T) {
	used := map[string]bool{"index.html": true}
	refer := func(from, to string) {
		used[to] = true
		if _, err := fs.Stat(dashboard.Files(), to); err != nil {
			t.Errorf("%s refers to %q, which does not exist", from, to)
		}
	}
	for _, e := range elements(t) {
		if e.name != "script" && e.name != "link" && e.name != "img" {
			continue
		}
		to := e.attrs["src"] + e.attrs["href"]
		name, ok := strings.CutPrefix(to, "assets/-/")
		if !ok {
			t.Errorf("<%s> loads %q, want a file of the page, as assets/-/name", e.name, to)
			continue
		}
		refer("index.html", name)
	}
	imports := regexp.MustCompile(`(?m)^import [^;]*?'([^']*)';`)
	for _, name := range names(t, ".js") {
		for _, m := range imports.FindAllSubmatch(source(t, name), -1) {
			refer(name, path.Clean(string(m[1])))
		}
	}
	for _, name := range names(t, ".css") {
		if found := regexp.MustCompile(`url\(|@import`).Find(source(t, name)); found != nil {
			t.Errorf("%s loads something with %s", name, found)
		}
	}
	for _, name := range names(t, "") {
		if !used[name] {
			t.Errorf("%s is not used by the page", name)
		}
	}
}

func TestNamesUsedByScriptsAndLabelsExistOnce(t *testing.T) {
	ids := make(map[string]int)
	var wanted []string
	for _, e := range elements(t) {
		if id := e.attrs["id"]; id != "" {
			ids[id]++
		}
		for _, name := range []string{"for", "aria-labelledby", "aria-describedby", "data-copy"} {
			wanted = append(wanted, strings.Fields(e.attrs[name])...)
		}
		if to, ok := strings.CutPrefix(e.attrs["href"], "#"); ok && to != "" {
			wanted = append(wanted, to)
		}
	}
	for _, name := range names(t, ".js") {
		for _, m := range regexp.MustCompile(`\$\('([^']+)'\)|getElementById\('([^']+)'\)`).FindAllSubmatch(source(t, name), -1) {
			wanted = append(wanted, string(m[1])+string(m[2]))
		}
	}
	if len(wanted) < 50 {
		t.Fatalf("found only %d names, so they are no longer written as this test reads them", len(wanted))
	}
	for _, id := range wanted {
		if ids[id] == 0 {
			t.Errorf("something refers to the element %q, which the page lacks", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if ids[id] > 1 {
			t.Errorf("the page has %d elements with the id %q", ids[id], id)
		}
	}
}

func TestEveryControlHasAName(t *testing.T) {
	labelled := make(map[string]bool)
	for _, e := range elements(t) {
		if e.name == "label" {
			labelled[e.attrs["for"]] = true
		}
	}
	for _, e := range elements(t) {
		switch e.name {
		case "input", "select", "textarea":
			if !labelled[e.attrs["id"]] && e.attrs["aria-label"] == "" {
				t.Errorf("<%s id=%q> has no label", e.name, e.attrs["id"])
			}
		case "button":
			if strings.TrimSpace(e.text) == "" && e.attrs["aria-label"] == "" {
				t.Errorf("<button id=%q> has neither text nor label", e.attrs["id"])
			}
		}
	}
}

func TestLinksIntoTheRepositoryLeadSomewhere(t *testing.T) {
	checked := 0
	for _, e := range elements(t) {
		m := regexp.MustCompile(`^https://github\.com/weirstream/weir/(?:blob|tree)/main/(.+)$`).FindStringSubmatch(e.attrs["href"])
		if m == nil {
			continue
		}
		checked++
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(m[1]))); err != nil {
			t.Errorf("the page links to %s: %v", m[1], err)
		}
	}
	if checked == 0 {
		t.Error("the page links to no file of the repository")
	}
}
