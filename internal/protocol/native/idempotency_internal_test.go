package native

import (
	"net/url"
	"strings"
	"testing"
)

func TestHeaderKeys(t *testing.T) {
	long := strings.Repeat("k", maxKey)
	for _, c := range []struct{ header, key string }{
		{"abc", "abc"}, {`"abc"`, "abc"}, {"0197a3c2-5d1e-7c4b-9f60-2f3f5b0c7a11", "0197a3c2-5d1e-7c4b-9f60-2f3f5b0c7a11"},
		{`"a\"b\\c"`, `a"b\c`}, {`a"b`, `a"b`}, {`a\`, `a\`}, {"!~", "!~"}, {"k/1", "k/1"}, {"a,b;c=d", "a,b;c=d"},
		{long, long}, {`"` + long + `"`, long}, {`"` + long[1:] + `\\"`, long[1:] + `\`},
	} {
		if key, err := headerKey(c.header); key != c.key || err != nil {
			t.Errorf("headerKey(%q) = %q, %v; want %q", c.header, key, err, c.key)
		}
	}
	for _, header := range []string{
		"", `""`, `"`, `"a`, `"a" `, `"a"b`, `"a"b"`, `"a";p=1`, `"a\"`, `"a\b"`, `"a\`, `"a b"`, "a b", " a", "a\t", "a\x7f", "a\x00", "\u00fc", "\"\u00fc\"", "a\xff",
		long + "k", `"` + long + `k"`, `"` + long + `\\"`,
	} {
		if key, err := headerKey(header); err == nil {
			t.Errorf("headerKey(%q) = %q, want an error", header, key)
		}
	}
}

// FuzzHeaderKeyIsVisibleASCIIOrRefused: a key that is accepted is a key, has one
// quoted form, and is the same when it comes as a parameter.
func FuzzHeaderKeyIsVisibleASCIIOrRefused(f *testing.F) {
	for _, header := range []string{"abc", `"abc"`, `"a\"\\"`, `"a\b"`, "", `"`, `"\"`, "a b", "\u00fc", strings.Repeat("k", 256)} {
		f.Add(header)
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, header string) {
		key, err := headerKey(header)
		if err != nil {
			checkProblem(t, header, err)
			return
		}
		if key == "" || len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
			t.Fatalf("headerKey(%q) = %q", header, key)
		}
		quoted := `"` + escape.Replace(key) + `"`
		if header != key && header != quoted {
			t.Fatalf("headerKey(%q) = %q, which is neither this nor %s", header, key, quoted)
		}
		if again, err := headerKey(quoted); again != key || err != nil {
			t.Fatalf("headerKey(%q) = %q, headerKey(%q) = %q, %v", header, key, quoted, again, err)
		}
		if same, err := requestKey(url.Values{keyParam: {key}}, []string{header}); same != key || err != nil {
			t.Fatalf("%q in the header and %q as parameter: %q, %v", header, key, same, err)
		}
	})
}

// TestLogKeysDiffer if topic, key or line do, however they are cut.
func TestLogKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, c := range []struct {
		topic, key string
		line       int
	}{{"a", "b", 0}, {"a", "c", 0}, {"b", "b", 0}, {"ab", "c", 0}, {"a", "bc", 0}, {"a", "b", 1}, {"a", "b", 11}, {"a", "b1", 1}, {"a/b", "b", 1}} {
		key := logKey(c.topic, c.key, c.line)
		if len(key) != 32 || seen[key] != "" {
			t.Errorf("%+v has a key of %d bytes, like that of %s", c, len(key), seen[key])
		}
		seen[key] = c.topic + " " + c.key
	}
	if logKey("a", "b", 7) != logKey("a", "b/7", 0) {
		t.Error("line 7 of a request with the key b has not the key b/7")
	}
}
