package mqtt_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/proctest"
)

func TestMessagesArriveInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	c := s.client("sender")
	s.subscribe(bed, nil)
	c.send(numbered(0, 1000)...) // which the session keeps
	r := s.feed(bed, nil)
	c.send(numbered(1000, 2000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	r.Stop()
	if s := r.Stats(); s.Published != 2000 || s.Received != 2000 || s.Failures != 0 || s.Lag != -1 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestTemplatesSeeUserPropertiesAndProperties(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) {
		f.Subscribe, f.QoS = []string{"sensors/+/temperature"}, "2"
		f.Topic, f.Type, f.Key, f.ID = "{header.site}/{key|path}", "{property.content-type}", "{key}", "e-{id}"
		f.Data = "{property.qos} {property.retain} {property.duplicate} {property.response-topic} {property.correlation-data} {property.message-expiry} {json.c}"
	})
	r.AwaitState(feed.Running)
	expiry := uint32(60)
	s.client("sender").send(&paho.Publish{
		Topic: "sensors/7/temperature", QoS: 2, Payload: []byte(`{"c":21.5}`),
		Properties: &paho.PublishProperties{
			ContentType: "application/json", ResponseTopic: "answers/7", CorrelationData: []byte("q1"), MessageExpiry: &expiry,
			User: paho.UserProperties{{Key: "site", Value: "x"}, {Key: "message-id", Value: "m1"}, {Key: "site", Value: "north"}},
		},
	})
	bed.AwaitData("north/sensors/*/temperature", []string{"2 false false answers/7 q1 60 21.5"})
	if e := bed.Entries("north/**")[0]; e.Type != "application/json" || e.Key != "sensors/7/temperature" || e.ID != "e-m1" || e.IdempotencyKey != "feed/test/m1" {
		t.Errorf("type %q, key %q, ID %q, idempotency key %q", e.Type, e.Key, e.ID, e.IdempotencyKey)
	}
}

// TestConnectionCutWhileFlowing loses acknowledgements, so that messages come again.
func TestConnectionCutWhileFlowing(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay, c := feedtest.NewRelay(t, s.addr()), s.client("sender")
	r := s.feed(bed, func(f *feed.Spec) { f.From = "mqtt://" + relay.Addr() })
	r.AwaitState(feed.Running)
	cut := 0
	for i := range 20 {
		c.send(numbered(i*200, (i+1)*200)...)
		if i%4 == 3 {
			r.AwaitState(feed.Running)
			cut += relay.Cut()
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	if s := r.Stats(); cut < 3 || s.Failures < 3 || s.Published != 4000 {
		t.Errorf("%d connections cut, Stats() = %+v", cut, s)
	}
}

// cutBeforeTheAcknowledgement has 100 messages stored, and their acknowledgements lost.
func cutBeforeTheAcknowledgement(t *testing.T, qos string, messages []*paho.Publish) *feedtest.Running {
	s, bed := newServer(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, s.addr())
	through := func(f *feed.Spec) { f.From, f.QoS = "mqtt://"+relay.Addr(), qos }
	s.subscribe(bed, through)
	s.client("sender").send(messages...)
	bed.Log.Full.Store(true)
	r := s.feed(bed, through)
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	awaitStats(t, r, "the end", func(s feed.Stats) bool { return s.Published >= 100 && s.Failures >= 2 && s.State == feed.Running })
	s.client("sender").send(&paho.Publish{Topic: "numbers/n", QoS: 2, Payload: []byte("100"), Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: "message-id", Value: "m100"}}}})
	bed.AwaitData("in", feedtest.Numbers(0, 101))
	return r
}

func TestNamedMessagesComeAgainAndAreStoredOnce(t *testing.T) {
	r := cutBeforeTheAcknowledgement(t, "1", numbered(0, 100))
	if s := r.Stats(); s.Duplicates == 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestWithQoS2NamelessMessagesAreStoredOnce(t *testing.T) {
	cutBeforeTheAcknowledgement(t, "2", nameless(2, 0, 100))
}

// TestServerKilledWhileFlowing kills it between a batch and its acknowledgement.
func TestServerKilledWhileFlowing(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.subscribe(bed, nil)
	s.client("sender").send(numbered(0, 3000)...)
	s.save()
	bed.Log.Full.Store(true)
	r := s.feed(bed, nil)
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { s.process.Kill() }
	bed.Log.Full.Store(false)
	awaitStats(t, r, "the end", func(s feed.Stats) bool { return s.State == feed.Failing && s.Published > 0 })
	if n := len(bed.Data("in")); n > 256 {
		t.Errorf("%d are there, more than the server may have sent", n)
	}
	s.start()
	s.client("sender").send(numbered(3000, 3500)...)
	bed.AwaitData("in", feedtest.Numbers(0, 3500))
	if s := r.Stats(); s.Duplicates == 0 || s.Published != 3500 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestNothingIsAcknowledgedWhileTheLogRefuses has the server say what it sends again:
// no more than Prefetch messages have been under way.
func TestNothingIsAcknowledgedWhileTheLogRefuses(t *testing.T) {
	for _, qos := range []string{"1", "2"} {
		t.Run("QoS "+qos, func(t *testing.T) {
			s, bed := newServer(t), feedtest.New(t)
			ten := func(f *feed.Spec) { f.Prefetch, f.QoS, f.Data = 10, qos, "{property.duplicate} {body}" }
			s.subscribe(bed, ten)
			s.client("sender").send(nameless(qos[0]-'0', 0, 1000)...)
			bed.Log.Full.Store(true)
			r := s.feed(bed, ten)
			r.AwaitState(feed.Failing)
			feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
			r.Stop()
			if s := r.Stats(); s.Published != 0 {
				t.Errorf("Stats() = %+v", s)
			}
			bed.Log.Full.Store(false)
			s.feed(bed, ten)
			var want []string
			for i, n := range feedtest.Numbers(0, 1000) {
				want = append(want, map[bool]string{true: "true ", false: "false "}[i < 10]+n)
			}
			bed.AwaitData("in", want)
		})
	}
}

// TestStopAcknowledgesWhatIsStored stops while messages flow that have no name: what is
// in the log does not come again, and what is not does.
func TestStopAcknowledgesWhatIsStored(t *testing.T) {
	for _, qos := range []string{"1", "2"} {
		t.Run("QoS "+qos, func(t *testing.T) {
			s, bed := newServer(t), feedtest.New(t)
			fifty := func(f *feed.Spec) { f.Prefetch, f.QoS = 50, qos }
			s.subscribe(bed, fifty)
			s.client("sender").send(nameless(qos[0]-'0', 0, 5000)...)
			for i := range 5 {
				before := len(bed.Data("in"))
				r := s.feed(bed, fifty)
				some(t, bed, before)
				r.Stop()
				if n := len(bed.Data("in")); i == 0 && n == 5000 {
					t.Fatal("all were there before the first stop")
				} else if n == 5000 {
					break
				}
			}
			s.feed(bed, fifty)
			bed.AwaitData("in", feedtest.Numbers(0, 5000))
		})
	}
}

// TestWithoutQoSMessagesWaitForTheLog stops while they do.
func TestWithoutQoSMessagesWaitForTheLog(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay, c := feedtest.NewRelay(t, s.addr()), s.client("sender")
	r := s.feed(bed, func(f *feed.Spec) { f.From, f.QoS, f.Prefetch = "mqtt://"+relay.Addr(), "0", 5 })
	r.AwaitState(feed.Running)
	c.send(nameless(1, 0, 5)...)
	bed.AwaitData("in", feedtest.Numbers(0, 5))
	bed.Log.Full.Store(true)
	c.send(nameless(1, 5, 8)...)
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 1, "%d", bed.Log.Refused.Load()) })
	relay.Cut()
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 8))
	awaitStats(t, r, "the next connection", func(s feed.Stats) bool { return s.State == feed.Running && s.Failures >= 2 })
	c.send(nameless(1, 8, 9)...)
	bed.AwaitData("in", feedtest.Numbers(0, 9))
}

func TestPoisonIsAcknowledged(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	change := func(f *feed.Spec) { f.Topic, f.Data = "in/{json.id}", "{json.id}" }
	r := s.feed(bed, change)
	r.AwaitState(feed.Running)
	messages := numbered(1, 4)
	messages[0].Payload, messages[1].Payload, messages[2].Payload = []byte(`{"id":1}`), []byte("oh"), []byte(`{"id":2}`)
	s.client("sender").send(messages...)
	bed.AwaitData("in/*", []string{"1", "2"})
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"id":"m2"`) || !strings.Contains(d[0], "not JSON") {
		t.Errorf("dead letters are %q", d)
	}
	r.Stop()
	r = s.feed(bed, change)
	s.client("sender").send(&paho.Publish{Topic: "numbers/n", QoS: 1, Payload: []byte(`{"id":3}`)})
	bed.AwaitData("in/*", []string{"1", "2", "3"})
	if s := r.Stats(); s.Received != 1 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestRetainedMessagesArriveOnce finds what was retained before the first start, and not
// again after the next.
func TestRetainedMessagesArriveOnce(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.client("sender").send(&paho.Publish{Topic: "numbers/n", QoS: 1, Retain: true, Payload: []byte("0")})
	change := func(f *feed.Spec) { f.Data = "{property.retain} {body}" }
	r := s.feed(bed, change)
	bed.AwaitData("in", []string{"true 0"})
	r.Stop()
	s.feed(bed, change).AwaitState(feed.Running)
	s.client("sender").send(&paho.Publish{Topic: "numbers/n", QoS: 1, Retain: true, Payload: []byte("1")})
	bed.AwaitData("in", []string{"true 0", "false 1"})
}

// TestFiltersOfEarlierSettingsEnd takes a filter out of the settings, and puts it back.
func TestFiltersOfEarlierSettingsEnd(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	c := s.client("sender")
	filters := func(list ...string) func(*feed.Spec) {
		return func(f *feed.Spec) { f.Subscribe, f.Data = list, "{key} {body}" }
	}
	send := func(n string) {
		c.send(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte(n)}, &paho.Publish{Topic: "b", QoS: 1, Payload: []byte(n)})
	}
	s.subscribe(bed, filters("a", "b"))
	r := s.feed(bed, filters("b"))
	r.AwaitState(feed.Running)
	send("0")
	bed.AwaitData("in", []string{"b 0"})
	r.Stop()
	s.feed(bed, filters("a", "b")).AwaitState(feed.Running)
	send("1")
	bed.AwaitData("in", []string{"b 0", "a 1", "b 1"})
}

// TestServersShareAFilter has one of two servers go away for a while.
func TestServersShareAFilter(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	share := func(name string) func(*feed.Spec) {
		return func(f *feed.Spec) {
			f.Subscribe, f.Consumer, f.Data = []string{"$share/weir/numbers/#"}, name, "{body}"
		}
	}
	a, b, c := s.feed(bed, share("a")), s.feed(bed, share("b")), s.client("sender")
	a.AwaitState(feed.Running)
	b.AwaitState(feed.Running)
	c.send(nameless(1, 0, 500)...)
	awaitNumbers(t, bed, 500)
	if a, b := a.Stats(), b.Stats(); a.Published == 0 || b.Published == 0 {
		t.Errorf("one had %d, the other %d", a.Published, b.Published)
	}
	a.Stop()
	c.send(nameless(1, 500, 600)...)
	s.feed(bed, share("a"))
	awaitNumbers(t, bed, 600)
}

// awaitNumbers waits until a bed has the numbers from 0, each once, in any order.
func awaitNumbers(t *testing.T, bed *feedtest.Bed, to int) {
	t.Helper()
	want := feedtest.Numbers(0, to)
	slices.Sort(want)
	feedtest.Await(t, "all messages", func() error {
		got := bed.Data("in")
		slices.Sort(got)
		return feedtest.Not(slices.Equal(got, want), "%d, want %d", len(got), len(want))
	})
}

// TestDocumentedCommands publish as docs/feeds.md shows.
func TestDocumentedCommands(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.feed(bed, func(f *feed.Spec) { f.Subscribe, f.Topic = []string{"sensors/+/temperature"}, "{key|path}" }).AwaitState(feed.Running)
	port := strings.TrimPrefix(s.addr(), "127.0.0.1:")
	cmd := exec.Command(proctest.Need(t, "mosquitto_pub"), "-h", "127.0.0.1", "-p", port, "-V", "5", "-q", "1", "-t", "sensors/7/temperature", "-m", `{"celsius":21.5}`, "-D", "publish", "user-property", "message-id", "m1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bed.AwaitData("sensors/7/temperature", []string{`{"celsius":21.5}`})
	if e := bed.Entries("sensors/**")[0]; e.IdempotencyKey != "feed/test/m1" {
		t.Errorf("idempotency key %q", e.IdempotencyKey)
	}
}
