package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A script is a transport that answers the n-th request with its n-th step and
// all further ones with the last.
type script struct {
	steps []func(*http.Request) (*http.Response, error)
	calls []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	step := s.steps[min(len(s.calls), len(s.steps)-1)]
	s.calls = append(s.calls, time.Now())
	return step(r)
}

// gaps returns the times between the calls.
func (s *script) gaps() (list []time.Duration) {
	for i := 1; i < len(s.calls); i++ {
		list = append(list, s.calls[i].Sub(s.calls[i-1]))
	}
	return list
}

func (s *script) client(t *testing.T) *client {
	t.Helper()
	c, err := newClient(target{server: "http://weir.test"})
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = s
	return c
}

func answer(r *http.Request, status int, kind string, body io.Reader) *http.Response {
	h := http.Header{}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(body), Request: r}
}

// A keeper keeps published lines as the server does; its methods are steps of a
// script.
type keeper struct {
	lines      []string
	keys       map[string]bool
	duplicates int
}

// take keeps the first n lines of the request, or all of them if n < 0, and
// returns how many. It does not keep one again whose key it has.
func (k *keeper) take(r *http.Request, n int) int {
	if k.keys == nil {
		k.keys = make(map[string]bool)
	}
	body, _ := io.ReadAll(r.Body)
	taken, number := 0, 0
	for text := range bytes.Lines(body) {
		number++
		if taken == n {
			break
		}
		if len(text) == 1 {
			continue
		}
		taken++
		key := fmt.Sprint(r.Header.Get("Idempotency-Key"), "/", number)
		if k.keys[key] {
			k.duplicates++
			continue
		}
		k.keys[key] = true
		k.lines = append(k.lines, dataOf(text))
	}
	return taken
}

// dataOf cuts the data out of a line of form.text, whose last field it is.
func dataOf(text []byte) string {
	_, after, _ := strings.Cut(string(text), `"data":"`)
	return strings.TrimSuffix(after, "\"}\n")
}

func (k *keeper) keep(r *http.Request) (*http.Response, error) {
	n := k.take(r, -1)
	return answer(r, 200, "application/json", strings.NewReader(fmt.Sprintf(`{"published":%d,"last_id":"e-%d"}`, n, len(k.lines)))), nil
}

// keepSome keeps n lines and then has no more room.
func (k *keeper) keepSome(n int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		k.take(r, n)
		resp := answer(r, 503, "application/problem+json", strings.NewReader(fmt.Sprintf(`{"code":"unavailable","detail":"draining","published":%d}`, n)))
		resp.Header.Set("Retry-After", "7")
		return resp, nil
	}
}

// keepSilently keeps everything but the answer gets lost.
func (k *keeper) keepSilently(r *http.Request) (*http.Response, error) {
	k.take(r, -1)
	return nil, &net.OpError{Op: "read", Err: syscall.ECONNRESET}
}

func nobody(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}

// hanging never answers.
func hanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// publishAll runs a publisher on text and returns it with what it said.
func publishAll(ctx context.Context, c *client, in io.Reader) (*publisher, string, error) {
	var said strings.Builder
	p := pubOptions{retry: 30 * time.Second}.publisher(c, &notes{w: &said, prefix: "weir: pub"})
	err := p.all(ctx, in, form{Topic: "t"}.text)
	return p, said.String(), err
}

// inTwo returns input of which the second part comes after a second, so that it
// makes a batch of its own.
func inTwo(first, second string) io.Reader {
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, first)
		time.Sleep(time.Second)
		io.WriteString(w, second)
		w.Close()
	}()
	return r
}

func TestServerThatGoesAwayLosesAndDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		s := &script{steps: []func(*http.Request) (*http.Response, error){k.keep, nobody, nobody, k.keepSome(1), k.keep}}
		// The first line may go out alone or with the second.
		p, said, err := publishAll(t.Context(), s.client(t), inTwo("a\n", "b\nc\nd\n"))
		if err != nil || strings.Join(k.lines, "") != "abcd" || p.published != 4 || p.lastID != "e-4" {
			t.Errorf("kept %q, publisher %+v, error %v; want a b c d", k.lines, p, err)
		}
		if want := "weir: pub: no answer from http://weir.test: connection refused; trying again\n"; !strings.HasPrefix(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

// keepSilentlySome keeps n lines of the request, of which the client learns nothing.
func (k *keeper) keepSilentlySome(n int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		k.take(r, n)
		return nil, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
}

// TestLostAnswersDoubleNothing loses them in combination with answers that a part
// of the batch is kept, after which only the rest is sent.
func TestLostAnswersDoubleNothing(t *testing.T) {
	duplicates := 0
	for _, names := range []string{"s", "ssss", "1", "13s", "sr", "sRr", "3rs", "r1Rs", "rrs", "ns", "sns3Rn", "R3s", "ksrk"} {
		synctest.Test(t, func(t *testing.T) {
			k := new(keeper)
			steps := map[rune]func(*http.Request) (*http.Response, error){
				's': k.keepSilently, '1': k.keepSilentlySome(1), '3': k.keepSilentlySome(3), 'r': k.keepSome(1), 'R': k.keepSome(2), 'n': nobody, 'k': k.keep,
			}
			s := new(script)
			for _, name := range names + "k" {
				s.steps = append(s.steps, steps[name])
			}
			p := pubOptions{retry: time.Minute}.publisher(s.client(t), &notes{quiet: true})
			err := p.deliver(t.Context(), fourLines())
			if err != nil || strings.Join(k.lines, "") != "abcd" || p.published != 4 {
				t.Errorf("%s: kept %q, published %d, error %v", names, k.lines, p.published, err)
			}
			duplicates += k.duplicates
		})
	}
	if duplicates == 0 {
		t.Error("nothing was sent again, so this proves nothing")
	}
}

func fourLines() (list []line) {
	for i, data := range "abcd" {
		list = append(list, line{number: i + 1, json: fmt.Appendf(nil, `{"topic":"t","data":"%c"}`, data)})
	}
	return list
}

// TestRunsHaveKeysOfTheirOwn, and so have batches.
func TestRunsHaveKeysOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		for range 2 {
			s := &script{steps: []func(*http.Request) (*http.Response, error){k.keep}}
			if _, _, err := publishAll(t.Context(), s.client(t), inTwo("a\n", "a\n")); err != nil {
				t.Error(err)
			}
		}
		if strings.Join(k.lines, "") != "aaaa" {
			t.Errorf("kept %q, want all four", k.lines)
		}
	})
}

func TestServerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		s := &script{steps: []func(*http.Request) (*http.Response, error){nobody, nobody, k.keepSome(0), nobody, k.keep}}
		p, said, err := publishAll(t.Context(), s.client(t), strings.NewReader("a\nb\n"))
		if err != nil || strings.Join(k.lines, "") != "ab" || p.published != 2 {
			t.Errorf("kept %q, publisher %+v, error %v; want a b", k.lines, p, err)
		}
		if want := "weir: pub: no answer from http://weir.test: connection refused; trying again for 30s\n"; said != want {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

// TestServerThatNeverComesIsGivenUp in time; after a first success it is not.
func TestServerThatNeverComesIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		retry    time.Duration
		attempts int // at least
	}{{0, 1}, {time.Nanosecond, 1}, {time.Second, 2}, {30 * time.Second, 7}} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []func(*http.Request) (*http.Response, error){nobody}}
			p := pubOptions{retry: c.retry}.publisher(s.client(t), &notes{quiet: true})
			start := time.Now()
			err := p.deliver(t.Context(), []line{{number: 1, json: []byte("{}")}})
			took := time.Since(start)
			if exitCode(err) != exitUnavailable || took > c.retry || took < c.retry-min(c.retry, longestWait) || len(s.calls) < c.attempts {
				t.Errorf("retry %v: %v after %v and %d attempts, want exit code %d", c.retry, err, took, len(s.calls), exitUnavailable)
			}
			if c.attempts == 1 && len(s.calls) > 1 {
				t.Errorf("retry %v: %d attempts", c.retry, len(s.calls))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		steps := []func(*http.Request) (*http.Response, error){k.keep}
		for range 100 {
			steps = append(steps, nobody)
		}
		s := &script{steps: append(steps, k.keep)}
		if _, _, err := publishAll(t.Context(), s.client(t), inTwo("a\n", "b\n")); err != nil || strings.Join(k.lines, "") != "ab" {
			t.Errorf("kept %q, error %v; want a b", k.lines, err)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		s := &script{steps: []func(*http.Request) (*http.Response, error){k.keepSome(0), k.keep}}
		if _, _, err := publishAll(t.Context(), s.client(t), strings.NewReader("a\n")); err != nil {
			t.Error(err)
		}
		if gaps := s.gaps(); len(gaps) != 1 || gaps[0] != 7*time.Second {
			t.Errorf("waited %v, want 7s", gaps)
		}
	})
}

func TestAnswerThatNeverComesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		s := &script{steps: []func(*http.Request) (*http.Response, error){k.keep, hanging, k.keep}}
		_, said, err := publishAll(t.Context(), s.client(t), inTwo("a\n", "b\n"))
		if want := "timed out after 1m0s; trying again"; err != nil || !strings.Contains(said, want) {
			t.Errorf("said %q, error %v; want %q", said, err, want)
		}
	})
}

func TestLinesGoOutAtOnceAndCollectMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		k := new(keeper)
		slow := func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			before := len(k.lines)
			resp, err := k.keep(r)
			sizes = append(sizes, len(k.lines)-before)
			return resp, err
		}
		r, w := io.Pipe()
		start := time.Now()
		go func() {
			for i := range 21 {
				fmt.Fprintln(w, i)
				time.Sleep(100 * time.Millisecond)
			}
			w.Close()
		}()
		s := &script{steps: []func(*http.Request) (*http.Response, error){slow}}
		if _, _, err := publishAll(t.Context(), s.client(t), r); err != nil {
			t.Error(err)
		}
		if len(sizes) == 0 || sizes[0] != 1 || !s.calls[0].Equal(start) {
			t.Errorf("batches %v, the first after %v; want one line at once", sizes, s.calls[0].Sub(start))
		}
		if len(sizes) > 4 {
			t.Errorf("batches %v; want few, since lines collect while one is under way", sizes)
		}
	})
}

func TestBatchesAreBoundedAndInputWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most int
		k := new(keeper)
		slow := func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			before := len(k.lines)
			resp, err := k.keep(r)
			most = max(most, len(k.lines)-before)
			return resp, err
		}
		const n = 5 * maxBatchLines
		s := &script{steps: []func(*http.Request) (*http.Response, error){slow}}
		if _, _, err := publishAll(t.Context(), s.client(t), strings.NewReader(strings.Repeat("x\n", n))); err != nil {
			t.Error(err)
		}
		if most != maxBatchLines || len(k.lines) != n {
			t.Errorf("largest batch has %d of %d lines, want %d", most, len(k.lines), maxBatchLines)
		}

		k.lines, most = nil, 0
		large := strings.Repeat("y", maxBatchBytes/2) + "\n"
		if _, _, err := publishAll(t.Context(), s.client(t), strings.NewReader(strings.Repeat(large, 9))); err != nil {
			t.Error(err)
		}
		if most != 2 || len(k.lines) != 9 {
			t.Errorf("largest batch has %d of %d large lines, want 2", most, len(k.lines))
		}
	})
}

func TestInterruptedPubSendsWhatItHasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		slow := func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return k.keep(r)
		}
		r, w := io.Pipe()
		ctx, interrupt := context.WithCancel(t.Context())
		go func() {
			io.WriteString(w, "a\n")
			time.Sleep(time.Millisecond)
			io.WriteString(w, "b\nc\n")
			time.Sleep(time.Millisecond)
			interrupt()
		}()
		s := &script{steps: []func(*http.Request) (*http.Response, error){slow}}
		_, _, err := publishAll(ctx, s.client(t), r)
		if err != errInterrupted || strings.Join(k.lines, "") != "abc" {
			t.Errorf("kept %q, error %v; want a b c and the bare interruption", k.lines, err)
		}
		w.Close()
	})
}

func TestInterruptedPubCountsWhatItCouldNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		r, w := io.Pipe()
		ctx, interrupt := context.WithCancel(t.Context())
		go func() {
			io.WriteString(w, "a\n")
			time.Sleep(time.Millisecond)
			io.WriteString(w, "b\n")
			time.Sleep(time.Millisecond)
			io.WriteString(w, "c\nd\n")
			time.Sleep(time.Millisecond)
			interrupt()
		}()
		s := &script{steps: []func(*http.Request) (*http.Response, error){k.keep, hanging}}
		start := time.Now()
		_, _, err := publishAll(ctx, s.client(t), r)
		if want := "interrupted: 3 lines that were read are not published"; !errors.Is(err, errInterrupted) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if took := time.Since(start); took != lastChance+3*time.Millisecond {
			t.Errorf("took %v, want %v after the interruption", took, lastChance)
		}
		w.Close()
	})
}
