package dashboard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weirstream/weir/internal/dashboard"
)

// ask sends one request to a fresh handler. Headers are "Name: value".
func ask(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	dashboard.Handler(dashboard.Options{}).ServeHTTP(w, r)
	return w.Result()
}

// asset returns the path under which the page refers to one of its files.
func asset(t *testing.T, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	dashboard.Handler(dashboard.Options{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	found := regexp.MustCompile(`"(assets/[0-9a-f]{16}/)` + regexp.QuoteMeta(name) + `"`).FindStringSubmatch(w.Body.String())
	if found == nil {
		t.Fatalf("the page does not refer to %s under a hash", name)
	}
	return "/" + found[1] + name
}

func TestEveryAnswerCarriesSecurityHeaders(t *testing.T) {
	for _, c := range []struct{ method, path string }{
		{"GET", "/"}, {"HEAD", "/"}, {"GET", asset(t, "app.js")}, {"GET", "/favicon.ico"},
		{"GET", "/nowhere"}, {"POST", "/"}, {"HEAD", "/demo/time"}, {"HEAD", "/demo/chunks"},
	} {
		h := ask(t, c.method, c.path).Header
		policy := strings.Split(h.Get("Content-Security-Policy"), "; ")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
			"object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
			if !slices.Contains(policy, want) {
				t.Errorf("%s %s: policy %q lacks %q", c.method, c.path, policy, want)
			}
		}
		if len(policy) != 9 {
			t.Errorf("%s %s: policy %q allows something besides", c.method, c.path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "no-referrer",
			"X-Frame-Options":            "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := h.Values(name); !slices.Equal(got, []string{want}) {
				t.Errorf("%s %s: %s %q, want %s", c.method, c.path, name, got, want)
			}
		}
		for _, feature := range []string{"camera", "microphone", "geolocation"} {
			if got := h.Get("Permissions-Policy"); !strings.Contains(got, feature+"=()") {
				t.Errorf("%s %s: Permissions-Policy %q lets the page use %s", c.method, c.path, got, feature)
			}
		}
	}
}

func TestFilesHaveTheTypesBrowsersInsistOn(t *testing.T) {
	for path, want := range map[string]string{
		"/":                   "text/html; charset=utf-8",
		asset(t, "app.js"):    "text/javascript; charset=utf-8",
		asset(t, "style.css"): "text/css; charset=utf-8",
		asset(t, "icon.svg"):  "image/svg+xml",
		"/favicon.ico":        "image/svg+xml",
	} {
		resp := ask(t, "GET", path)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != want {
			t.Errorf("GET %s: %d %q, want 200 %q", path, resp.StatusCode, got, want)
		}
	}
}

func TestAssetsAreKeptForAYearAndThePageIsAskedForEachTime(t *testing.T) {
	for path, want := range map[string]string{
		"/":                "no-cache",
		asset(t, "app.js"): "public, max-age=31536000, immutable",
	} {
		resp := ask(t, "GET", path)
		if got := resp.Header.Get("Cache-Control"); got != want {
			t.Errorf("GET %s: Cache-Control %q, want %q", path, got, want)
		}
		tag := resp.Header.Get("ETag")
		if again := ask(t, "GET", path, "If-None-Match: "+tag); tag == "" || again.StatusCode != http.StatusNotModified {
			t.Errorf("GET %s with ETag %q: %d, want 304", path, tag, again.StatusCode)
		}
		if other := ask(t, "GET", path, `If-None-Match: "other"`); other.StatusCode != http.StatusOK {
			t.Errorf("GET %s with another ETag: %d, want 200", path, other.StatusCode)
		}
	}
}

func TestHashChangesWithContentAndWithNames(t *testing.T) {
	hash := func(name, data string) string {
		return dashboard.HashOf(fstest.MapFS{"index.html": {Data: []byte("page")}, name: {Data: []byte(data)}})
	}
	base := hash("a.js", "1")
	if again := hash("a.js", "1"); again != base {
		t.Errorf("the same files have hashes %s and %s", base, again)
	}
	for _, other := range []string{hash("a.js", "2"), hash("b.js", "1")} {
		if other == base {
			t.Errorf("different files have the same hash %s", base)
		}
	}
}

func TestUnknownPathsAreProblems(t *testing.T) {
	good := asset(t, "app.js")
	for _, path := range []string{
		"/nowhere", "/index.html", "/assets/", "/assets/-/app.js", "/assets/0000000000000000/app.js",
		strings.Replace(good, "app.js", "none.js", 1), strings.Replace(good, "app.js", "index.html", 1), good + "/x", "/demo/other",
	} {
		wantProblem(t, ask(t, "GET", path), path, http.StatusNotFound, "not_found")
	}
}

func TestOtherMethodsAreProblems(t *testing.T) {
	for _, path := range []string{"/", asset(t, "app.js"), "/demo/time", "/demo/chunks"} {
		resp := ask(t, "POST", path)
		wantProblem(t, resp, path, http.StatusMethodNotAllowed, "method_not_allowed")
		if got := resp.Header.Get("Allow"); got != "GET, HEAD" {
			t.Errorf("POST %s: Allow %q, want GET, HEAD", path, got)
		}
	}
}

func wantProblem(t *testing.T, resp *http.Response, path string, status int, code string) {
	t.Helper()
	var p struct {
		Status       int
		Code, Detail string
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Errorf("%s: body is no problem document: %v", path, err)
	}
	if resp.StatusCode != status || p.Status != status || p.Code != code || !strings.Contains(p.Detail, path) {
		t.Errorf("%s: status %d, problem %+v; want %d %q naming the path", path, resp.StatusCode, p, status, code)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s: Content-Type %q, want application/problem+json", path, got)
	}
}
