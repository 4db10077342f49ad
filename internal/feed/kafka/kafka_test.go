package kafka_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func TestMessagesArriveOnceAndInOrder(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 1000)...)
	r := start(t, bed, nil)
	c.send(numbers(1000, 2000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	c.awaitCommitted(2000)
	awaitStats(t, r, "figures", func(s feed.Stats) bool {
		return s.Published == 2000 && s.Received == 2000 && s.Failures == 0 && s.Lag == 0 && s.State == feed.Running
	})
	r.Stop()
	start(t, bed, nil).AwaitState(feed.Running)
	c.send(numbers(2000, 2001)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2001))
}

func TestTemplatesSeeKeyHeadersAndProperties(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(3)
	start(t, bed, func(s *feed.Spec) {
		s.Topic, s.Type = "{header.shop}/{key|dots}/{json.id}", "{property.topic}"
		s.Key, s.ID, s.Data = "{key}", "{property.partition}-{property.offset}", "{id} {property.timestamp} {header.none?} {body}"
	})
	c.send(&kgo.Record{
		Partition: 2, Key: []byte("order.created"), Value: []byte(`{"id":7}`), Timestamp: time.UnixMilli(1_700_000_000_123),
		Headers: []kgo.RecordHeader{{Key: "shop", Value: []byte("eu")}},
	})
	bed.AwaitData("eu/order/created/7", []string{t.Name() + `/2/0/1700000000123 2023-11-14T22:13:20.123Z  {"id":7}`})
	if e := bed.Entries("eu/**")[0]; e.Type != t.Name() || e.Key != "order.created" || e.ID != "2-0" || e.IdempotencyKey != "feed/test/"+t.Name()+"/2/0/1700000000123" {
		t.Errorf("type %q, key %q, ID %q, idempotency key %q", e.Type, e.Key, e.ID, e.IdempotencyKey)
	}
}

// TestTombstoneHasAnEmptyBody sends one with, and one without a key.
func TestTombstoneHasAnEmptyBody(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	start(t, bed, func(s *feed.Spec) { s.Topic, s.Key, s.State = "in/{key}", "{key}", true })
	c.send(&kgo.Record{Key: []byte("a"), Value: []byte("1")}, &kgo.Record{Key: []byte("a")}, &kgo.Record{Key: []byte("b"), Value: []byte("2")}, &kgo.Record{})
	bed.AwaitData("in/b", []string{"2"})
	if e := bed.Entries("in/a"); len(e) == 0 || len(e[len(e)-1].Data) != 0 {
		t.Errorf("in/a holds %v, want an empty state", e)
	}
	feedtest.Await(t, "the one without a key", func() error {
		d := bed.Data("dead")
		return feedtest.Not(len(d) == 1 && strings.Contains(d[0], "{key}: the message has none"), "%q", d)
	})
	c.awaitCommitted(4)
}

func TestOrderIsThatOfEachPartition(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(3)
	for p := range int32(3) {
		c.send(numbersOf(p, 0, 700)...)
	}
	r := start(t, bed, func(s *feed.Spec) { s.Topic = "in/{property.partition}" })
	for p := range 3 {
		bed.AwaitData(fmt.Sprint("in/", p), feedtest.Numbers(0, 700))
	}
	awaitStats(t, r, "figures", func(s feed.Stats) bool { return s.Published == 2100 && s.Duplicates == 0 && s.Lag == 0 })
}

func TestBrokerKilledWhileFlowing(t *testing.T) {
	t.Parallel()
	b, bed := newBroker(t), feedtest.New(t)
	c := connect(t, b)
	c.create(1)
	r := start(t, bed, func(s *feed.Spec) { s.From, s.Prefetch = "kafka://"+b.Addr(), 10 })
	c.send(numbers(0, 3000)...)
	some(t, bed, 0)
	b.Kill()
	r.AwaitState(feed.Failing)
	if err := r.Stats().Error; !strings.Contains(err, "refused") && !strings.Contains(err, "EOF") && !strings.Contains(err, "reset") {
		t.Errorf("error is %q", err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	c = connect(t, b)
	c.send(numbers(3000, 4000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	r.AwaitState(feed.Running)
	c.awaitCommitted(4000)
	r.Stop()
	if s := r.Stats(); s.Published != 4000 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestBrokerAwayForAWhile has the feed join the group anew.
func TestBrokerAwayForAWhile(t *testing.T) {
	t.Parallel() // it mostly waits
	b, bed := newBroker(t), feedtest.New(t)
	c := connect(t, b)
	c.create(1)
	c.send(numbers(0, 10)...)
	r := start(t, bed, func(s *feed.Spec) { s.From = "kafka://" + b.Addr() })
	bed.AwaitData("in", feedtest.Numbers(0, 10))
	b.Kill()
	awaitStats(t, r, "the state", func(s feed.Stats) bool {
		return s.State == feed.Failing && strings.Contains(s.Error, "connect to kafka://127")
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	r.AwaitState(feed.Running)
	connect(t, b).send(numbers(10, 20)...)
	bed.AwaitData("in", feedtest.Numbers(0, 20))
}

func TestConnectionCutWhileFlowing(t *testing.T) {
	t.Parallel()
	b, relay := newRelayed(t)
	bed, c := feedtest.New(t), connect(t, b)
	c.create(1)
	r := start(t, bed, func(s *feed.Spec) { s.From, s.Prefetch = "kafka://"+relay.Addr(), 10 })
	cut := 0
	for i := range 20 {
		c.send(numbers(i*200, (i+1)*200)...)
		if i%4 == 3 {
			some(t, bed, i*200)
			cut += relay.Cut()
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	c.awaitCommitted(4000)
	r.Stop()
	if s := r.Stats(); cut < 5 || s.Published != 4000 || s.Lag != 0 {
		t.Errorf("%d connections cut, Stats() = %+v", cut, s)
	}
}

// TestBrokerKilledBeforeTheCommit has every message delivered twice.
func TestBrokerKilledBeforeTheCommit(t *testing.T) {
	t.Parallel()
	b, bed := newBroker(t), feedtest.New(t)
	c := connect(t, b)
	c.create(1)
	c.send(numbers(0, 100)...)
	from := func(s *feed.Spec) { s.From = "kafka://" + b.Addr() }
	bed.Log.Full.Store(true)
	r := start(t, bed, from)
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { b.Kill() }
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	awaitStats(t, r, "the state", func(s feed.Stats) bool {
		return s.State == feed.Failing && strings.Contains(s.Error, "commit offsets")
	})
	r.Stop()
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	r = start(t, bed, from)
	connect(t, b).awaitCommitted(100)
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	awaitStats(t, r, "duplicates", func(s feed.Stats) bool { return s.Duplicates == 100 && s.Published == 0 })
}

func TestNothingIsCommittedWhileTheLogRefuses(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	bed.Log.Full.Store(true)
	c.send(numbers(0, 1000)...)
	r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	r.AwaitState(feed.Failing)
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	if s := r.Stats(); s.Received != 10 || s.Published != 0 {
		t.Errorf("Stats() = %+v", s)
	}
	r.Stop()
	if n, err := c.committed(); n > 0 || err != nil {
		t.Errorf("offset %d is committed, %v", n, err)
	}
	r = start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	r.AwaitState(feed.Failing)
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	c.awaitCommitted(1000)
	awaitStats(t, r, "figures", func(s feed.Stats) bool { return s.State == feed.Running && s.Published == 1000 && s.Duplicates == 0 })
}

// TestStopCommitsWhatIsStored stops while messages flow: what is in the log is
// committed, and what is not is not.
func TestStopCommitsWhatIsStored(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 9000)...)
	for range 5 {
		r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 20 })
		some(t, bed, len(bed.Data("in")))
		r.Stop()
		stored := len(bed.Data("in"))
		n, err := c.committed()
		if s := r.Stats(); s.Duplicates != 0 || n != stored || err != nil || stored == 9000 {
			t.Errorf("%d stored, %d committed, %v, Stats() = %+v", stored, n, err, s)
		}
	}
	start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 9000))
}

func TestPoisonDoesNotStopThePartition(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	start(t, bed, func(s *feed.Spec) { s.Topic, s.Data = "in/{json.id}", "{json.id}" })
	c.send(&kgo.Record{Value: []byte(`{"id":1}`)}, &kgo.Record{Value: []byte("oh"), Key: []byte("x")}, &kgo.Record{Value: []byte(`{"id":2}`)})
	bed.AwaitData("in/*", []string{"1", "2"})
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"key":"x"`) || !strings.Contains(d[0], "not JSON") || !strings.Contains(d[0], `"offset":"1"`) {
		t.Errorf("dead letters are %q", d)
	}
	c.awaitCommitted(3)
}

// TestBombIsADeadLetter sends a batch that is small on the wire only.
func TestBombIsADeadLetter(t *testing.T) {
	c, bed := connect(t, shared, kgo.ProducerBatchCompression(kgo.ZstdCompression())), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 1)...)
	c.send(&kgo.Record{Value: make([]byte, 65<<20)})
	c.send(numbers(1, 2)...)
	start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 2))
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], "records 1 to 1 are one batch, which has more than 67108864 bytes") {
		t.Errorf("dead letters are %.300q", d)
	}
	c.awaitCommitted(3)
}

func TestAbortedTransactionsDoNotArrive(t *testing.T) {
	c, bed := connect(t, shared, kgo.TransactionalID(t.Name())), feedtest.New(t)
	c.create(1)
	r := start(t, bed, nil)
	for i, commit := range []bool{true, false, true, false} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		c.send(numbers(i*10, (i+1)*10)...)
		if err := c.EndTransaction(c.context(), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
	bed.AwaitData("in", append(feedtest.Numbers(0, 10), feedtest.Numbers(20, 30)...))
	c.awaitCommitted(44) // with the ends of the transactions
	awaitStats(t, r, "figures", func(s feed.Stats) bool { return s.Lag == 0 && s.Received == 20 })
}

// TestTopicMadeAnewStartsAgain has offsets come again that stand for other records.
func TestTopicMadeAnewStartsAgain(t *testing.T) {
	t.Parallel() // it mostly waits
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 10)...)
	r := start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 10))
	c.remove()
	awaitStats(t, r, "the state", func(s feed.Stats) bool {
		return s.State == feed.Failing && strings.Contains(s.Error, "UNKNOWN_TOPIC")
	})
	c = connect(t, shared)
	c.create(1)
	c.send(numbers(10, 20)...)
	bed.AwaitData("in", feedtest.Numbers(0, 20))
	r.AwaitState(feed.Running)
}

func TestTopicThatComesLate(t *testing.T) {
	t.Parallel() // it mostly waits
	c, bed := connect(t, shared), feedtest.New(t)
	r := start(t, bed, nil)
	awaitStats(t, r, "the state", func(s feed.Stats) bool {
		return s.State == feed.Failing && strings.Contains(s.Error, t.Name()) && strings.Contains(s.Error, "UNKNOWN_TOPIC_OR_PARTITION")
	})
	c.create(1)
	c.send(numbers(0, 10)...)
	bed.AwaitData("in", feedtest.Numbers(0, 10))
	r.AwaitState(feed.Running)
}

// TestStartAtTheEnd has the second partition be empty until the feed has been stopped.
func TestStartAtTheEnd(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(2)
	c.send(numbers(0, 10)...)
	end := func(s *feed.Spec) { s.Start, s.Topic = "end", "in/{property.partition}" }
	r := start(t, bed, end)
	r.AwaitState(feed.Running)
	c.awaitCommitted(10)
	c.send(numbers(10, 20)...)
	bed.AwaitData("in/0", feedtest.Numbers(10, 20))
	r.Stop()
	c.send(numbersOf(1, 0, 5)...)
	start(t, bed, end)
	bed.AwaitData("in/1", feedtest.Numbers(0, 5))
	bed.AwaitData("in/0", feedtest.Numbers(10, 20))
}
