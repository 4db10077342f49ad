package backoff_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"0": 0, "7": 7 * time.Second, "3600": time.Hour,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
			"": 0, "-1": 0, "soon": 0, "1.5": 0, "99999999999": 0,
		} {
			if got := backoff.RetryAfter(text); got != want {
				t.Errorf("%q is %v, want %v", text, got, want)
			}
		}
	})
}
