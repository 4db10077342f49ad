package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/access"
)

const apiKey = "kkkkkkkk-kkkkkkkk-kkkkkkkk-kkkkkkkk"

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func TestAPIKeysAreRead(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"shop:" + apiKey, ""},
		{"shop:sha256:" + hashOf("x"), ""},
		{"shop:sha256:" + strings.ToUpper(hashOf("x")), ""},
		{"shop:" + strings.Repeat("a", 512), ""},
		{"shop", "an API key is written NAME:KEY or NAME:sha256:HASH"},
		{":" + apiKey, "an API key is written NAME:KEY or NAME:sha256:HASH"},
		{"shop:short", `API key "shop": the key has 5 bytes, want 32 to 512`},
		{"shop:" + strings.Repeat("a", 513), `API key "shop": the key has 513 bytes, want 32 to 512`},
		{"shop:sha256:abcd", `API key "shop": after sha256: want 64 hexadecimal digits`},
		{"shop:sha256:" + strings.Repeat("x", 64), `API key "shop": after sha256: want 64 hexadecimal digits`},
		{"shop:" + apiKey + "\x00x", `API key "shop": byte 35 of the key cannot be sent in a header: want visible ASCII`},
		{"shop:" + apiKey + " publish=a", ""},
		{"my shop:" + apiKey + "\tpublish=a/**,b  \t subscribe=** rate=1 streams=2147483647 ", ""},
		{"shop:" + apiKey + " x", `API key "shop": word 1 behind the key: want publish=, subscribe=, rate= or streams=`},
		{"shop: " + apiKey, `API key "shop": word 1 behind the key: want publish=, subscribe=, rate= or streams=`},
		{"shop:" + apiKey + " rate=1 # slow", `API key "shop": word 2 behind the key: want publish=, subscribe=, rate= or streams=`},
		{"shop:" + apiKey + " Publish=a", `API key "shop": word 1 behind the key: want publish=, subscribe=, rate= or streams=`},
		{"shop:" + apiKey + " publish=a subscribe=b publish=c", `API key "shop": publish= comes twice`},
		{"shop:" + apiKey + " publish=", `API key "shop": publish: pattern "": empty`},
		{"shop:" + apiKey + " publish=a,", `API key "shop": publish: pattern "": empty`},
		{"shop:" + apiKey + " subscribe=a/**/b", `API key "shop": subscribe: pattern "a/**/b": "**" before the last segment at byte 2`},
		{"shop:" + apiKey + " rate=0", `API key "shop": word 1 behind the key: rate="0": want a whole number from 1 to 2147483647`},
		{"shop:" + apiKey + " streams=2147483648", `API key "shop": word 1 behind the key: streams="2147483648": want a whole number from 1 to 2147483647`},
		{"shop:" + apiKey + " streams", `API key "shop": word 1 behind the key: streams="": want a whole number from 1 to 2147483647`},
		{"sh\x01op:" + apiKey, `API key "sh\x01op": user "sh\x01op": control character U+0001`},
	} {
		_, err := access.ParseAPIKey(c.text, access.Grant{})
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != c.want {
			t.Errorf("ParseAPIKey(%q) gives %v, want %q", c.text, err, c.want)
		}
		if key, _, _ := strings.Cut(strings.TrimSpace(c.text[strings.Index(c.text, ":")+1:]), " "); err != nil && len(key) > 4 && strings.Contains(err.Error(), key) {
			t.Errorf("the error %q holds the key", err)
		}
	}
}

func TestAPIKeyFileGivesEachTheGrant(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# publishers\r\n\r\nshop:" + apiKey + "\r\n  stock:sha256:" + hashOf(apiKey+"2") + "\n")
	keys, err := access.ReadAPIKeys(file, access.Grant{Publish: []string{"a/**"}})
	if err != nil || len(keys) != 2 {
		t.Fatalf("ReadAPIKeys gives %d keys, %v", len(keys), err)
	}
	v := verifier(t, access.Options{APIKeys: keys})
	for key, want := range map[string]string{apiKey: "shop", apiKey + "2": "stock"} {
		g, err := v.FromRequest(bearer(key))
		if err != nil || !reflect.DeepEqual(plain(g), access.Grant{User: want, Publish: []string{"a/**"}}) {
			t.Errorf("key of %s: %+v, %v", want, g, err)
		}
	}

	write("shop:" + apiKey + "\n\nbad\n")
	if _, err := access.ReadAPIKeys(file, access.Grant{}); err == nil || !strings.HasPrefix(err.Error(), file+":3: an API key is") {
		t.Errorf("ReadAPIKeys gives %v, want the line", err)
	}
	write(strings.Repeat("#", 70_000))
	if _, err := access.ReadAPIKeys(file, access.Grant{}); err == nil || !strings.Contains(err.Error(), "70000 bytes, limit 65536") {
		t.Errorf("ReadAPIKeys gives %v, want the limit", err)
	}
}

// TestAPIKeyFileGrantsByLine: what a line allows is all, as far as it says anything.
func TestAPIKeyFileGrantsByLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	def := access.Grant{Publish: []string{"**"}, Subscribe: []string{"news"}, Limits: access.Limits{Streams: 7, Rate: 9}}
	for words, want := range map[string]access.Grant{
		"":                                 def,
		" rate=100":                        {Publish: def.Publish, Subscribe: def.Subscribe, Limits: access.Limits{Streams: 7, Rate: 100}},
		" publish=orders/**,news":          {Publish: []string{"orders/**", "news"}, Limits: def.Limits},
		" subscribe=weir/**":               {Subscribe: []string{"weir/**"}, Limits: def.Limits},
		" subscribe=a publish=b":           {Publish: []string{"b"}, Subscribe: []string{"a"}, Limits: def.Limits},
		" streams=5 publish=a\trate=1\r\n": {Publish: []string{"a"}, Limits: access.Limits{Streams: 5, Rate: 1}},
	} {
		want.User = "shop"
		if err := os.WriteFile(file, []byte("shop:sha256:"+hashOf(apiKey)+words), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := access.ReadAPIKeys(file, def)
		if err != nil {
			t.Fatal(err)
		}
		if g, err := verifier(t, access.Options{APIKeys: keys}).FromRequest(bearer(apiKey)); err != nil || !reflect.DeepEqual(plain(g), want) {
			t.Errorf("words %q give\n%+v, %v, want\n%+v", words, g, err, want)
		}
	}
	if err := os.WriteFile(file, []byte("\n# shop\nshop:"+apiKey+" admin=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := access.ReadAPIKeys(file, def); err == nil || !strings.HasPrefix(err.Error(), file+`:3: API key "shop": word 1 behind the key: want publish=`) {
		t.Errorf("ReadAPIKeys gives %v, want the line and the words there are", err)
	}
}

func TestOnlyTheWholeAPIKeyCounts(t *testing.T) {
	var keys []access.APIKey
	for i := range 20 {
		k, err := access.ParseAPIKey(fmt.Sprintf("name%d:%s%02d", i, apiKey, i), access.Grant{ID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	v := verifier(t, access.Options{APIKeys: keys})
	for i := range 20 {
		if g, err := v.FromRequest(bearer(fmt.Sprintf("%s%02d", apiKey, i))); err != nil || g.ID != fmt.Sprint(i) {
			t.Errorf("key %d: %+v, %v", i, g, err)
		}
	}
	for _, bad := range []string{apiKey, apiKey + "0", apiKey + "20", apiKey + "000", hashOf(apiKey + "00"), "sha256:" + hashOf(apiKey+"00"), strings.Repeat("a", 100_000)} {
		_, err := v.FromRequest(bearer(bad))
		if code(err) != access.BadKey || strings.Contains(err.Error(), bad) {
			t.Errorf("key %.50q: %v, want bad_key without the key", bad, err)
		}
	}
}

// TestSecretsAreComparedInConstantTime looks at the code, because a clock cannot tell:
// findKey compares with subtle only, and does not leave its loop early.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "apikey.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	compares := false
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != "findKey" {
			return !ok
		}
		ast.Inspect(f, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.IfStmt, *ast.SwitchStmt, *ast.BranchStmt, *ast.ReturnStmt, *ast.BinaryExpr:
					t.Errorf("the loop of findKey has a %T", n)
				case *ast.SelectorExpr:
					compares = compares || n.Sel.Name == "ConstantTimeCompare"
				}
				return true
			})
			return false
		})
		return false
	})
	if !compares {
		t.Error("findKey does not call subtle.ConstantTimeCompare in a loop")
	}
}

func TestVerifierChecksItsOptions(t *testing.T) {
	k, err := access.ParseAPIKey("shop:"+apiKey, access.Grant{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts access.Options
		want string
	}{
		{access.Options{APIKeys: []access.APIKey{k, k}}, `two API keys are named "shop"`},
		{access.Options{APIKeys: make([]access.APIKey, 257)}, "257 API keys, limit 256"},
		{access.Options{APIKeys: make([]access.APIKey, 1)}, "an API key that is none"},
		{access.Options{Keys: make([]access.Key, 33)}, "33 keys for tokens, limit 32"},
		{access.Options{Keys: make([]access.Key, 1)}, "a key that is none"},
		{access.Options{Leeway: 3e12}, "leeway 50m0s, limit 5m0s"},
		{access.Options{Cookie: "a;b"}, `"a;b" is not the name of a cookie`},
		{access.Options{Origins: []string{"example.com"}}, `origin "example.com" cannot be trusted with cookies: `},
		{access.Options{Origins: []string{"*"}}, `origin "*" cannot be trusted with cookies: it stands for every page`},
		{access.Options{Anonymous: &access.Grant{Subscribe: []string{"/"}}}, `anonymous: subscribe: pattern "/"`},
	} {
		if _, err := access.New(c.opts); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("New gives %v, want %q", err, c.want)
		}
	}
	if _, err := verifier(t, access.Options{APIKeys: []access.APIKey{k}}).FromRequest(httptest.NewRequest("GET", "/", nil)); code(err) != access.NoToken {
		t.Errorf("FromRequest gives %v, want no_token", err)
	}
}
