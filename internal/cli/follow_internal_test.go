package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ndjson = "application/x-ndjson"

// sending answers with records, one per line, and then ends the stream.
func sending(records ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return answer(r, 200, ndjson, strings.NewReader(strings.Join(records, "\n")+"\n")), nil
	}
}

// A stream is a body that its script writes to, and that ends with the request.
func stream(r *http.Request, write func(w io.Writer)) *http.Response {
	in, out := io.Pipe()
	context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
	go write(out)
	return answer(r, 200, ndjson, in)
}

func message(id, data string) string {
	return fmt.Sprintf(`{"id":%q,"topic":"t","time":"2026-01-01T00:00:00.000Z","data":%q}`, id, data)
}

// A trial is a follower whose output and requests are recorded.
type trial struct {
	*follower
	script    script
	out, said strings.Builder
	queries   []string
}

func newTrial(t *testing.T, steps ...func(*http.Request) (*http.Response, error)) *trial {
	tr := new(trial)
	for _, step := range steps {
		tr.script.steps = append(tr.script.steps, func(r *http.Request) (*http.Response, error) {
			tr.queries = append(tr.queries, r.URL.RawQuery)
			return step(r)
		})
	}
	tr.follower = &follower{
		client:  tr.script.client(t),
		query:   url.Values{"topic": {"t"}},
		start:   url.Values{},
		silence: time.Minute,
		wait:    newBackoff(),
		out:     &textPrinter{w: &tr.out},
		notes:   &notes{w: &tr.said, prefix: "weir: sub"},
	}
	return tr
}

func (tr *trial) check(t *testing.T, err, wantErr error, out string, queries ...string) {
	t.Helper()
	if !errors.Is(err, wantErr) || (err != nil) != (wantErr != nil) {
		t.Errorf("run = %v, want %v", err, wantErr)
	}
	if got := tr.out.String(); got != out {
		t.Errorf("printed %q, want %q", got, out)
	}
	if got, want := strings.Join(tr.queries, " "), strings.Join(queries, " "); got != want {
		t.Errorf("asked for\n%s\nwant\n%s", got, want)
	}
}

func noMore(r *http.Request) (*http.Response, error) {
	return answer(r, http.StatusNoContent, "", strings.NewReader("")), nil
}

func TestDroppedReaderGoesOnAfterItsLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t,
			sending(`{"ready":{"id":"e-0"}}`, message("e-1", "a"), "", message("e-2", "b")),
			nobody,
			sending(`{"ready":{"id":"e-2"}}`, message("e-3", "c")),
			noMore)
		tr.check(t, tr.run(t.Context()), nil, "a\nb\nc\n",
			"topic=t", "last_event_id=e-2&topic=t", "last_event_id=e-2&topic=t", "last_event_id=e-3&topic=t")
		for _, want := range []string{
			"weir: sub: connection to http://weir.test lost: the server ended it; trying again in ",
			"weir: sub: no answer from http://weir.test: connection refused; trying again in ",
			"weir: sub: connected again\n",
			"weir: sub: the server has nothing more to send\n",
		} {
			if !strings.Contains(tr.said.String(), want) {
				t.Errorf("said\n%slacks %q", tr.said.String(), want)
			}
		}
	})
}

func TestReaderThatDropsBeforeItsFirstMessageMissesNothing(t *testing.T) {
	for start, again := range map[string]string{
		"":                  "last_event_id=e-7&topic=t",
		"since=now":         "last_event_id=e-7&topic=t",
		"since=start":       "since=start&topic=t",
		"last=5":            "last=5&topic=t",
		"last_event_id=e-4": "last_event_id=e-4&topic=t",
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTrial(t, sending(`{"ready":{"id":"e-7"}}`), noMore)
			tr.start, _ = url.ParseQuery(start)
			first := "topic=t"
			if start != "" {
				first = start + "&topic=t"
			}
			tr.check(t, tr.run(t.Context()), nil, "", first, again)
		})
	}
}

func TestCutLineIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, ndjson, strings.NewReader(message("e-1", "a")+"\n"+message("e-2", "b")[:20])), nil
		}
		tr := newTrial(t, half, sending(message("e-2", "b")), noMore)
		tr.check(t, tr.run(t.Context()), nil, "a\nb\n", "topic=t", "last_event_id=e-1&topic=t", "last_event_id=e-2&topic=t")
	})
}

func TestDrainingServerIsLeftAloneForAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, sending(message("e-1", "a"), `{"drain":{"retry_ms":4321}}`), noMore)
		tr.check(t, tr.run(t.Context()), nil, "a\n", "topic=t", "last_event_id=e-1&topic=t")
		if gaps := tr.script.gaps(); gaps[0] != 4321*time.Millisecond {
			t.Errorf("waited %v, want 4.321s", gaps[0])
		}
	})
}

func TestServerThatIsBusyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := func(r *http.Request) (*http.Response, error) {
			resp := answer(r, 429, "application/problem+json", strings.NewReader(`{"code":"too_many","detail":"slow down"}`))
			resp.Header.Set("Retry-After", "30")
			return resp, nil
		}
		tr := newTrial(t, busy, noMore)
		tr.check(t, tr.run(t.Context()), nil, "", "topic=t", "topic=t")
		if gaps := tr.script.gaps(); gaps[0] != 30*time.Second {
			t.Errorf("waited %v, want 30s", gaps[0])
		}
	})
}

func TestSilentConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beating := func(r *http.Request) (*http.Response, error) {
			return stream(r, func(w io.Writer) {
				fmt.Fprintln(w, message("e-1", "a"))
				for range 5 { // heartbeats keep it alive, one of them in two parts
					time.Sleep(40 * time.Second)
					fmt.Fprintln(w)
				}
			}), nil
		}
		tr := newTrial(t, beating, hanging, noMore)
		tr.check(t, tr.run(t.Context()), nil, "a\n", "topic=t", "last_event_id=e-1&topic=t", "last_event_id=e-1&topic=t")
		gaps := tr.script.gaps()
		if want := 5*40*time.Second + time.Minute; gaps[0] < want || gaps[0] > want+firstWait {
			t.Errorf("the silent connection was left after %v, want %v", gaps[0], want)
		}
		if gaps[1] < time.Minute || gaps[1] > time.Minute+2*firstWait {
			t.Errorf("the server that does not answer was left after %v, want 1m", gaps[1])
		}
		if want := "nothing arrived for too long"; strings.Count(tr.said.String(), want) != 2 {
			t.Errorf("said\n%swant %q twice", tr.said.String(), want)
		}
	})
}

func TestServerThatHangsUpAtOnceIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		tr := newTrial(t, sending(`{"ready":{"id":"e-0"}}`))
		if err := tr.run(ctx); err != errInterrupted {
			t.Errorf("run = %v, want %v", err, errInterrupted)
		}
		if n := len(tr.script.calls); n < 360 || n > 730 {
			t.Errorf("%d connections in an hour, want one every 5 to 10 s", n)
		}
	})
}

func TestGapIsReportedLoudly(t *testing.T) {
	const record = `{"gap":{"reason":"expired","requested":"e-1","oldest":"e-5","newest":"e-9","policy":"diff"}}`
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, sending(record, message("e-5", "x")), noMore)
		tr.notes.quiet = true
		tr.check(t, tr.run(t.Context()), nil, "x\n", "topic=t", "last_event_id=e-5&topic=t")
		want := `weir: sub: GAP: messages may be lost (expired): asked to go on after "e-1", e-5 to e-9 are kept, going on by policy diff` + "\n"
		if got := tr.said.String(); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, sending(`{"ready":{"id":"e-4"}}`, "", record, message("e-5", "x")), noMore)
		tr.out.Reset()
		tr.follower.out = &jsonPrinter{&tr.out}
		tr.check(t, tr.run(t.Context()), nil, record+"\n"+message("e-5", "x")+"\n", "topic=t", "last_event_id=e-5&topic=t")
	})
}

func TestReaderStopsAfterTheWantedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endless := func(r *http.Request) (*http.Response, error) {
			return stream(r, func(w io.Writer) {
				for i := 1; ; i++ {
					if _, err := fmt.Fprintln(w, message(fmt.Sprint(i), fmt.Sprint(i))); err != nil {
						return
					}
				}
			}), nil
		}
		tr := newTrial(t, endless)
		tr.limit = 3
		tr.check(t, tr.run(t.Context()), nil, "1\n2\n3\n", "topic=t")
	})
}

func TestReaderStopsWhenItCannotPrint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		r.CloseWithError(io.ErrClosedPipe)
		tr := newTrial(t, sending(message("e-1", "a")))
		tr.follower.out = &textPrinter{w: w}
		tr.check(t, tr.run(t.Context()), io.ErrClosedPipe, "", "topic=t")
	})
}

func TestNonsenseFromTheServerIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t, sending(message("e-1", "a"), "hello"))
		err := tr.run(t.Context())
		if want := `line 2: the server sends "hello", which is no message`; err == nil || err.Error() != want {
			t.Errorf("run = %v, want %s", err, want)
		}
	})
}
