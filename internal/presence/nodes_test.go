package presence_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/presence"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/sharedlog"
)

// Times of the nodes of tests.
const (
	nodeBeat  = 100 * time.Millisecond
	nodeGrace = 300 * time.Millisecond
	patience  = 30 * time.Second
)

// A node is a site whose log other nodes share.
type node struct {
	*presence.Presence
	hub   *hub.Hub
	slots *limit.Slots
	stop  func() // ends it in order; may be called twice
	crash func() // ends it without a word
}

// startNode starts a node on the log that a Redis server keeps.
func startNode(t *testing.T, addr, name string) *node {
	t.Helper()
	engine, err := redislog.Connect(t.Context(), redislog.Options{URL: "redis://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	log, err := sharedlog.Open(t.Context(), engine, sharedlog.Options{Wait: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: log, Sync: log.Sync})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{hub: h, slots: limit.NewSlots("streams", 0)}
	n.Presence = presence.New(presence.Options{
		Hub: h, Topics: []string{"rooms/*"}, Shared: true, Node: name, Grace: nodeGrace, Beat: nodeBeat, Share: 10 * time.Millisecond,
	})
	n.Limit(n.slots)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait(); h.Close() })
	n.crash = sync.OnceFunc(func() { h.Close(); cancel(); running.Wait() })
	t.Cleanup(n.stop)
	return n
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// told follows what is published about rooms, and keeps who is there.
type told struct {
	t     *testing.T
	mu    sync.Mutex
	there map[string]bool // guarded by mu: by topic and user
}

func follow(t *testing.T, n *node) *told {
	x := &told{t: t, there: make(map[string]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range n.hub.Follow(ctx, hub.Subscription{Topics: []string{"weir/presence/**"}, From: hub.FromOldest()}) {
			if err != nil || m.Gap != nil {
				t.Errorf("follow: %v, gap %v", err, m.Gap)
				return
			}
			x.take(m.Message)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return x
}

// take checks that nobody comes who is there, or leaves who is not.
func (x *told) take(m hub.Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	who, came := m.Topics[0]+" "+m.Key, m.Type == "join" || m.Type == "occupied"
	if x.there[who] == came {
		x.t.Errorf("%s of %q is told twice", m.Type, who)
	}
	if x.there[who] = came; !came {
		delete(x.there, who)
	}
}

// is reports whether exactly these are there: "room user", and rooms themselves.
func (x *told) is(want map[string]bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.there) != len(want) {
		return false
	}
	for who := range want {
		if !x.there["weir/presence/"+who] {
			return false
		}
	}
	return true
}

// present is what should be told of stays.
func present(stays map[int]stay) map[string]bool {
	want := make(map[string]bool)
	for _, s := range stays {
		want[s.room+" "+s.user], want[s.room+" "] = true, true
	}
	return want
}

type stay struct {
	*presence.Stay
	node       int
	room, user string
}

// TestNodesAgreeOnWhoIsThere has users come and go on three nodes, of which one is
// killed, one leaves in order, one comes later, and what keeps the log is away for a
// while.
func TestNodesAgreeOnWhoIsThere(t *testing.T) {
	redis := redisserver.Start(t, redisserver.Options{})
	addr := redis.Addr()
	nodes := []*node{startNode(t, addr, "1"), startNode(t, addr, "2"), startNode(t, addr, "3")}
	seen := follow(t, nodes[1])
	rng := rand.New(rand.NewPCG(6, 3))
	stays, alive, next := map[int]stay{}, []int{0, 1, 2}, 0
	churn := func(n int) {
		for range n {
			if next++; rng.IntN(2) == 0 {
				s := stay{node: alive[rng.IntN(len(alive))], room: fmt.Sprint("rooms/", rng.IntN(3)), user: []string{"", "ada", "bob", "cyd"}[rng.IntN(4)]}
				s.Stay = nodes[s.node].Arrive([]string{s.room}, s.user, `{"is":"`+s.user+`"}`, fmt.Sprint(next))
				stays[next] = s
				continue
			}
			for id, s := range stays {
				s.Leave()
				delete(stays, id)
				break
			}
		}
	}
	agree := func(when string) {
		t.Helper()
		await(t, when+": what is told is what is", func() bool { return seen.is(present(stays)) })
		for _, i := range alive {
			await(t, fmt.Sprintf("%s: node %d counts right", when, i+1), func() bool { return counts(nodes[i], stays) })
		}
	}
	gone := func(i int) {
		for id, s := range stays {
			if s.node == i {
				delete(stays, id)
			}
		}
		alive = without(alive, i)
	}

	for range 5 {
		churn(40)
		time.Sleep(20 * time.Millisecond) // so that some changes are told
	}
	agree("at first")

	nodes[0].crash() // the oldest, which acts for all
	gone(0)
	churn(20)
	agree("after a kill")

	redis.Kill()
	for range 3 {
		churn(15)
		time.Sleep(deadTime) // as long as it takes to be taken for gone, and to be refused by the log
	}
	redis.Restart()
	if n := nodes[1].Nodes(); n != 2 {
		t.Errorf("there are %d nodes after the log was away, want 2: nobody is gone because of that", n)
	}
	agree("after the log was away")

	nodes = append(nodes, startNode(t, addr, "4"))
	alive = append(alive, 3)
	churn(40)
	agree("with a new node")

	nodes[2].stop()
	gone(2)
	for key := range nodes[1].hub.Log().Values("nodes/3") {
		t.Errorf("of a node that has left in order there is %q", key)
	}
	agree("after one has left")
}

const deadTime = 6 * nodeBeat

// counts reports whether a node counts the connections of all.
func counts(n *node, stays map[int]stay) bool {
	want := map[string]int{}
	for _, s := range stays {
		want[s.room]++
	}
	list, _ := n.Counts("rooms/*", 100)
	if len(list) != len(want) {
		return false
	}
	for _, c := range list {
		if c.Connections != want[c.Topic] {
			return false
		}
	}
	return true
}

func without(list []int, x int) (rest []int) {
	for _, v := range list {
		if v != x {
			rest = append(rest, v)
		}
	}
	return rest
}

// TestANodeThatWasCutOff has a node that others take for gone tell everything again.
func TestANodeThatWasCutOff(t *testing.T) {
	addr := redisserver.Start(t, redisserver.Options{}).Addr()
	relay := feedtest.NewRelay(t, addr)
	a, b := startNode(t, addr, "1"), startNode(t, relay.Addr(), "2")
	seen := follow(t, a)
	b.Arrive([]string{"rooms/1"}, "ada", "", "1")
	there := map[string]bool{"rooms/1 ada": true, "rooms/1 ": true}
	await(t, "ada is there", func() bool { return seen.is(there) })

	heal := relay.Part()
	await(t, "ada is taken for gone", func() bool { return seen.is(nil) && a.Nodes() == 1 })
	heal()
	await(t, "ada is back", func() bool { return seen.is(there) && a.Nodes() == 2 && a.Room("rooms/1", 9).Connections == 1 })
}

// TestLimitsHoldForAllNodes takes slots on two nodes.
func TestLimitsHoldForAllNodes(t *testing.T) {
	addr := redisserver.Start(t, redisserver.Options{}).Addr()
	a, b := startNode(t, addr, "1"), startNode(t, addr, "2")
	ada, limits := limit.UserKey("ada"), 3
	want := limit.Want{Key: ada, Limit: limits}
	var leases []*limit.Lease
	for i := range limits {
		n := []*node{a, b}[i%2]
		lease, err := n.slots.Take(0, want, limit.Want{Key: limit.AddressKey(netip.MustParseAddr("127.0.0.1"), 0)})
		if err != nil {
			t.Fatalf("slot %d of %d: %v", i+1, limits, err)
		}
		leases = append(leases, lease)
		for _, other := range []*node{a, b} {
			await(t, "the other knows", func() bool { return full(other.slots, want) == (i+1 == limits) })
		}
	}
	if _, err := a.slots.Take(0, want); err == nil || !strings.Contains(err.Error(), "3") {
		t.Errorf("a slot more than the limit of all: %v", err)
	}
	leases[1].Release() // on b
	await(t, "a has room again", func() bool { return !full(a.slots, want) })
	a.crash()
	await(t, "what a had is free", func() bool {
		var taken []*limit.Lease
		for range limits {
			if l, err := b.slots.Take(0, want); err == nil {
				taken = append(taken, l)
			}
		}
		for _, l := range taken {
			l.Release()
		}
		return len(taken) == limits
	})
	for key := range b.hub.Log().Values("nodes/") {
		if strings.Contains(key, "127") {
			t.Errorf("an address without a limit was told: %q", key)
		}
	}
}

// full reports whether there is no slot.
func full(s *limit.Slots, w limit.Want) bool {
	l, err := s.Take(0, w)
	l.Release()
	return err != nil
}
