package origin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/origin"
)

func TestEntriesMatchWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		entry string
		yes   []string
		no    []string
	}{
		{"https://example.com",
			[]string{"https://example.com", "https://example.com:443", "HTTPS://EXAMPLE.com"},
			[]string{"http://example.com", "https://example.com:8443", "https://www.example.com", "https://example.com.", "https://example.com:",
				"https://evil-example.com", "https://example.com.evil.org", "https://example.comx", "https://xexample.com", "https://example",
				"https://user@example.com", "https://example.com@evil.org", "https://example.com:443@evil.org", "https://evil.org\\@example.com",
				"https://example.com/", "https://example.com/x", "https://evil.org/https://example.com", "https://evil.org#https://example.com",
				"https://example.com?x", " https://example.com", "https://example.com ", "https://example.com https://evil.org",
				"https://example.com, https://evil.org", "https://example.com\x00", "https://example.com\r\nX: y", "https://example.com%2eevil.org",
				"https://example.com:0443", "https://example.com:+443", "https://example.com:443443", "https://exámple.com", "https://EXAMPLE.c\u212Am",
				"example.com", "//example.com", "https:example.com", "https:/example.com", "https:///example.com", "https://", "null", "", "*", "https://*"}},
		{"https://example.com:443", []string{"https://example.com", "https://example.com:443"}, []string{"http://example.com:443", "https://example.com:80"}},
		{"http://Example.COM:80", []string{"http://example.com"}, []string{"https://example.com:80"}},
		{"https://example.com:8443", []string{"https://example.com:8443"}, []string{"https://example.com", "https://example.com:443", "https://example.com:84430"}},

		{"https://*.example.com",
			[]string{"https://a.example.com", "https://a.b.example.com", "https://a.example.com:443", "https://A.Example.com", "https://xn--bcher-kva.example.com",
				"https://evil.org.example.com"}, // a name that only the owner of example.com can give
			[]string{"https://example.com", "https://evil-example.com", "https://.example.com", "https://a..example.com", "https://a.example.com.",
				"https://a.example.com.evil.org", "http://a.example.com", "https://a.example.com:8443", "https://evil.org/.example.com",
				"https://evil.org?.example.com", "https://evil.org#.example.com", "https://evil.org:80.example.com", "https://a@b.example.com",
				"https://evil.org\\.example.com", "https://*.example.com", "null", "https://evil.org%00.example.com", "https://evil.org\x00.example.com"}},
		{"https://*.example.com:8443", []string{"https://a.example.com:8443"}, []string{"https://a.example.com", "https://example.com:8443"}},
		{"http://localhost:*",
			[]string{"http://localhost", "http://localhost:80", "http://localhost:3000", "http://LOCALHOST:65535"},
			[]string{"https://localhost:3000", "http://localhost.evil.org:3000", "http://localhost:", "http://localhost:*", "http://localhost:99999",
				"http://localhost:80@evil.org", "http://evil.org:localhost:80", "http://a.localhost:3000"}},
		{"http://*.localhost:*", []string{"http://a.localhost", "http://a.b.localhost:5173"}, []string{"http://localhost:5173", "https://a.localhost"}},

		{"http://127.0.0.1:*", []string{"http://127.0.0.1:8080"}, []string{"http://127.0.0.11", "http://127.0.0.1.evil.org", "http://0x7f.1", "http://127.1"}},
		{"http://[::1]:*", []string{"http://[::1]", "http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]"}, []string{"http://::1", "http://[::1", "http://[::2]", "http://[::1%25lo]", "http://[127.0.0.1]", "http://[::1].evil.org", "http://[]"}},
		{"http://[2001:DB8::0:1]:8080", []string{"http://[2001:db8::1]:8080"}, []string{"http://[2001:db8::1]"}},
		{"chrome-extension://abcdefgh", []string{"chrome-extension://abcdefgh"}, []string{"moz-extension://abcdefgh", "chrome-extension://abcdefgh:443", "https://abcdefgh"}},

		// The caller says what "*" allows, and what can be no entry matches nothing.
		{"*", nil, []string{"https://example.com", "null", "*", ""}},
		{"null", nil, []string{"null", "https://null"}},
		{"https://example.com/", nil, []string{"https://example.com", "https://example.com/"}},
		{"https://*.com", nil, []string{"https://example.com", "https://a.example.com"}},
		{"http://*.0.0.1", nil, []string{"http://127.0.0.1", "http://10.0.0.1"}},
		{"", nil, []string{"", "https://example.com"}},
	} {
		for _, o := range c.yes {
			if !origin.Match([]string{"https://other.example", c.entry}, o) {
				t.Errorf("%q does not match %q", c.entry, o)
			}
		}
		for _, o := range c.no {
			if origin.Match([]string{c.entry}, o) {
				t.Errorf("%q matches %q", c.entry, o)
			}
		}
	}
	if origin.Match(nil, "https://example.com") {
		t.Error("an empty list matches")
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, entry := range []string{
		"*", "https://example.com", "HTTPS://Example.com:443", "https://*.example.com", "https://*.eu.example.com:8443", "http://localhost:*",
		"http://*.localhost:*", "http://127.0.0.1:3000", "http://[::1]:*", "https://xn--bcher-kva.example", "http://my_host:1", "capacitor://localhost",
	} {
		if err := origin.Check(entry); err != nil {
			t.Errorf("%q: %v", entry, err)
		}
	}
	for entry, says := range map[string]string{
		"":                              "write scheme, host and port",
		"null":                          "write scheme, host and port",
		"example.com":                   "https://example.com",
		"https://":                      "write scheme, host and port",
		"1https://example.com":          "write scheme, host and port",
		"https://example.com/":          "without a path, a slash at the end",
		"https://a@example.com":         "user name",
		"https://example.com?":          "without a path",
		"https://example.com:":          `the port is ""`,
		"https://example.com:0":         "1 to 65535",
		"https://example.com:65536":     `"65536"`,
		"https://example.com:**":        "* for every port",
		"https://example.com.":          "ends with a dot",
		"https://a..example.com":        "two in a row",
		"https://*":                     "whole parts at the beginning",
		"*://example.com":               "write scheme, host and port",
		"https://*example.com":          "whole parts at the beginning",
		"https://a*.example.com":        "whole parts at the beginning",
		"https://a.*.example.com":       "whole parts at the beginning",
		"https://*.*.example.com":       "whole parts at the beginning",
		"https://**.example.com":        "whole parts at the beginning",
		"https://*.com":                 "two parts at least",
		"https://*.":                    "empty part",
		"http://*.0.0.1":                "IP address",
		"http://*.[::1]":                "IP address",
		"http://[::1":                   "brackets",
		"http://[fe80::1%eth0]":         "brackets",
		"https://bücher.example":        "xn--",
		"https://exa mple.com":          "write scheme, host and port",
		"https://example.com\n":         "xn--",
		"https://a,https://b":           "without a path",
		"/^https:.*$/":                  "write scheme, host and port",
		strings.Repeat("https://a", 40): "360 bytes, limit 300",
		"https://" + strings.Repeat("a", 64) + ".example": "more than 63",
	} {
		if err := origin.Check(entry); err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 600 {
			t.Errorf("Check(%q) = %v, want %q", entry, err, says)
		}
	}
}

// FuzzMatch compares with package url, which takes addresses apart in its own way.
func FuzzMatch(f *testing.F) {
	for _, s := range []string{"https://a.example.com", "https://example.com:443", "http://localhost:3000", "https://a@b.example.com",
		"https://evil.org\\.example.com", "https://a.example.com.", "http://[::1]:1", "null", "https://evil.org#.example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		below, local := origin.Match([]string{"https://*.example.com"}, header), origin.Match([]string{"http://localhost:*"}, header)
		if !below && !local {
			return
		}
		u, err := url.Parse(header)
		if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q matches, but package url says %+v, %v", header, u, err)
		}
		host := strings.ToLower(u.Hostname())
		if below && (u.Scheme != "https" || !strings.HasSuffix(host, ".example.com") || u.Port() != "" && u.Port() != "443") {
			t.Errorf("%q matches https://*.example.com", header)
		}
		if local && (u.Scheme != "http" || host != "localhost") {
			t.Errorf("%q matches http://localhost:*", header)
		}
		if strings.ContainsAny(header, "\r\n, ;") {
			t.Errorf("%q matches, and would be written into a header", header)
		}
	})
}
