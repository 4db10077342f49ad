package packages_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A recipe is what a package is made from, for nfpm and for goreleaser.
type recipe struct {
	Maintainer, Description, License, Homepage, Section string
	Recommends                                          []string
	Contents                                            []content
	Scripts                                             map[string]string
}

type content struct {
	Src, Dst, Type, Packager string
	Info                     struct{ Mode int } `yaml:"file_info"`
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(root, name))), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestReleaseHasTheSamePackages: what is tested here is what a release publishes.
func TestReleaseHasTheSamePackages(t *testing.T) {
	var want recipe
	var release struct{ Nfpms []recipe }
	readYAML(t, "deploy/package/nfpm.yaml", &want)
	readYAML(t, ".goreleaser.yaml", &release)
	if len(release.Nfpms) != 1 {
		t.Fatalf("a release has %d recipes for packages, want 1", len(release.Nfpms))
	}
	if want.Contents[0].Dst != "/usr/bin/weir" { // which goreleaser adds by itself
		t.Fatalf("the first file is %+v", want.Contents[0])
	}
	want.Contents = want.Contents[1:]
	for i, c := range want.Contents {
		want.Contents[i].Src = strings.Replace(c.Src, "${STAGE}", "dist-files", 1)
	}
	if got := release.Nfpms[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("a release has\n%+v\nwant\n%+v", got, want)
	}
}
