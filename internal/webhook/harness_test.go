package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/webhook"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const secret = "a secret of the tests, long enough"

// A request is one as the receiver got it.
type request struct {
	id     string
	body   string
	events []event
	at     time.Time
	answer int // 0: none yet, or ever
}

// An event is one of a request.
type event struct {
	ID, Time, Event, Topic, User, Connection string
	Info                                     json.RawMessage
	Type, Key                                string
	MessageID                                string  `json:"message_id"`
	Data                                     *string `json:"data"`
	DataBase64                               *string `json:"data_base64"`
	Reason, After, Until                     string
}

func (e event) String() string {
	text := strings.TrimSpace(e.Event + " " + e.Topic + " " + e.User)
	if e.Data != nil {
		text += " " + *e.Data
	}
	return text
}

// An answer is what the receiver does with a request that it has read.
type answer func(w http.ResponseWriter, r *http.Request) (status int) // 0: cut the connection

// A receiver is an application: it checks signatures and notes what it got.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	secrets  []string  // guarded by mu: each must have signed
	requests []request // guarded by mu
	next     []answer  // guarded by mu: to the next requests; after them 204
}

func newReceiver(t *testing.T, next ...answer) *receiver {
	t.Helper()
	r := &receiver{t: t, secrets: []string{secret}, next: next}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Errorf("the receiver reads: %v", err)
		return
	}
	got := request{id: req.Header.Get("Webhook-Id"), body: string(body), at: time.Now()}
	var parsed struct{ Events []event }
	if err := json.Unmarshal(body, &parsed); err != nil || req.Header.Get("Content-Type") != "application/json" || req.Method != "POST" {
		r.t.Errorf("the receiver got %s %v %.200q: %v", req.Method, req.Header, body, err)
	}
	got.events = parsed.Events
	r.mu.Lock()
	err = verify(r.secrets, req.Header, body)
	next := status(http.StatusNoContent)
	if len(r.next) > 0 {
		next, r.next = r.next[0], r.next[1:]
	}
	n := len(r.requests)
	r.requests = append(r.requests, got)
	r.mu.Unlock()
	if err != nil {
		r.t.Error(err)
	}
	if got.answer = next(w, req); got.answer == 0 {
		panic(http.ErrAbortHandler) // which cuts the connection
	}
	r.mu.Lock()
	r.requests[n].answer = got.answer
	r.mu.Unlock()
	w.WriteHeader(got.answer)
	if got.answer >= 300 {
		_, _ = io.WriteString(w, strings.Repeat("answer ", 100))
	}
}

func newTLSServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	s.StartTLS()
	return s
}

// verify checks a signature as Standard Webhooks describes it.
func verify(secrets []string, h http.Header, body []byte) error {
	seconds, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age > 5*time.Second || age < -2*time.Second {
		return fmt.Errorf("webhook-timestamp is %q", h.Get("Webhook-Timestamp"))
	}
	var want []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s))
		fmt.Fprintf(mac, "%s.%s.%s", h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), body)
		want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if got := h.Get("Webhook-Signature"); got != strings.Join(want, " ") {
		return fmt.Errorf("webhook-signature is %q, want %q", got, want)
	}
	return nil
}

// status answers; 0 cuts the connection.
func status(code int) answer {
	return func(http.ResponseWriter, *http.Request) int { return code }
}

// hang waits until the sender has given up.
func hang(_ http.ResponseWriter, r *http.Request) int {
	<-r.Context().Done()
	return 0
}

// got returns the requests so far.
func (r *receiver) got() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// accepted returns the events of requests that were accepted, in short.
func (r *receiver) accepted() (list []string) {
	for _, req := range r.got() {
		if req.answer/100 == 2 {
			for _, e := range req.events {
				list = append(list, e.String())
			}
		}
	}
	return list
}

// await waits until exactly these events were accepted, in this order.
func (r *receiver) await(want ...string) {
	r.t.Helper()
	feedtest.Await(r.t, "accepted events", func() error {
		got := r.accepted()
		same := len(got) == len(want)
		for i := 0; same && i < len(got); i++ {
			same = got[i] == want[i]
		}
		return feedtest.Not(same, "got %.300q, want %.300q", got, want)
	})
}

// A bed is a hub, and a hook that sends to a receiver.
type bed struct {
	*testing.T
	hub  *hub.Hub
	spec webhook.Spec
	log  *bytes.Buffer
	sync func(context.Context) error

	transport http.RoundTripper
}

func newBed(t *testing.T, r *receiver) *bed {
	t.Helper()
	b := &bed{T: t, hub: feedtest.New(t).Hub, log: new(bytes.Buffer)}
	b.spec = webhook.Spec{Name: "app", URL: r.URL + "/hooks/path", SecretFile: filepath.Join(t.TempDir(), "secret"), Topics: []string{"room/**"}, Timeout: 20 * time.Second}
	b.setSecrets(secret)
	return b
}

// setSecrets replaces the file as an operator should: at once.
func (b *bed) setSecrets(lines ...string) {
	b.Helper()
	path := b.spec.SecretFile + ".new"
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path, b.spec.SecretFile); err != nil {
		b.Fatal(err)
	}
}

// hook makes a hook, which waits a quarter of a second at most after a failure.
func (b *bed) hook() *webhook.Hook {
	b.Helper()
	log := slog.New(slog.NewTextHandler(&locked{w: io.MultiWriter(b.log, b.Output())}, nil))
	h, err := webhook.New(webhook.Options{Spec: b.spec, Hub: b.hub, Log: log, MaxWait: 250 * time.Millisecond, Sync: b.sync, Transport: b.transport})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// A locked writer may be used by several goroutines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// A running hook.
type running struct {
	*webhook.Hook
	t    *testing.T
	stop func() // returns when Run has
}

// start runs a new hook, and waits until it has begun.
func (b *bed) start() *running {
	b.Helper()
	return run(b.T, b.hook())
}

// run runs a hook until stop, or until the test ends.
func run(t *testing.T, h *webhook.Hook) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	r := &running{Hook: h, t: t, stop: func() {
		t.Helper()
		cancel()
		began := time.Now()
		<-done
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the hook took %v to stop, want 2s at most", took)
		}
	}}
	t.Cleanup(r.stop)
	r.awaitState(webhook.Running, webhook.Failing, webhook.Gone)
	return r
}

func (r *running) awaitState(want ...webhook.State) {
	r.t.Helper()
	feedtest.Await(r.t, fmt.Sprintf("state %v", want), func() error {
		s := r.Stats()
		for _, w := range want {
			if s.State == w {
				return nil
			}
		}
		return fmt.Errorf("state is %v, error %q", s.State, s.Error)
	})
}

// publish publishes one message at a time.
func (b *bed) publish(topic, kind string, data ...string) (ids []string) {
	b.Helper()
	for _, d := range data {
		id, err := b.hub.Publish(context.Background(), hub.Message{Topics: []string{topic}, Type: kind, Data: []byte(d)})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// join publishes what internal/presence would, of users of room/1.
func (b *bed) join(users ...string) {
	b.Helper()
	for _, user := range users {
		b.publish("weir/presence/room/1", "join", fmt.Sprintf(`{"topic":"room/1","user":%q}`, user))
	}
}

// kept returns type and data of what is kept of a topic.
func (b *bed) kept(topic string) (data []string) {
	b.Helper()
	sel, err := eventlog.Select(topic)
	if err != nil {
		b.Fatal(err)
	}
	log := b.hub.Log()
	for after := uint64(0); after < log.Head(); {
		page, err := log.Read(context.Background(), sel, after, log.Head(), eventlog.Limit{})
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range page.Entries {
			data = append(data, e.Type+" "+string(e.Data))
		}
		after = page.Next
	}
	return data
}

// joins are events as accepted shows them.
func joins(users ...string) (list []string) {
	for _, user := range users {
		list = append(list, "join room/1 "+user)
	}
	return list
}
