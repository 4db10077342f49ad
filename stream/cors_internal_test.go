package stream

import "testing"

// TestStarNeverMatchesWithCredentials looks behind the check of the options.
func TestStarNeverMatchesWithCredentials(t *testing.T) {
	o := Options{AllowOrigins: []string{"*"}, AllowCredentials: true}
	for _, asked := range []string{"null", "https://any.example", "*"} {
		if got := o.allowOrigin(asked); got != "" {
			t.Errorf("a page of %q is allowed %q with credentials", asked, got)
		}
	}
}
