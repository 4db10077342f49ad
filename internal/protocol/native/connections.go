package native

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/topic"
	"github.com/weirstream/weir/stream"
)

// connectionsTopic is what one must be allowed to read to see who is connected, and
// to publish to, to end connections.
const connectionsTopic = gate.Reserved + "connections"

// mostListed is how many connections one answer lists.
const mostListed = 1000

// maxRevoke bounds how long a user or token is refused.
const maxRevoke = 30 * 24 * time.Hour

// A connection is an open stream as it is listed.
type connection struct {
	ID      string   `json:"id"`
	User    string   `json:"user,omitempty"`
	Token   string   `json:"token,omitempty"` // its ID, or the beginning of its hash
	Address string   `json:"address,omitempty"`
	Topics  []string `json:"topics"`
	Bytes   int64    `json:"bytes"` // sent so far, those of live messages not counted
}

// connections serves /v1/connections.
func (h *Handler) connections(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		return h.listConnections(w, v, q)
	case http.MethodDelete:
		return h.endConnections(w, r, v, q)
	}
	return otherMethod(w, r)
}

// A filter selects connections. Empty fields select all.
type filter struct{ id, user, token, topic string }

var filterParams = []string{"id", "user", "token", "topic"}

func readFilter(q url.Values, known []string) (f filter, err error) {
	if err := onlyParams(q, known); err != nil {
		return f, err
	}
	for _, name := range filterParams {
		if n := len(q[name]); n > 1 {
			return f, problem.BadRequest("bad_parameter", name+" is given "+strconv.Itoa(n)+" times: want it once")
		}
		if q.Has(name) && q.Get(name) == "" { // of a script whose variable is empty, which must not mean all
			return f, problem.BadRequest("bad_parameter", name+" is empty: leave it out to select all")
		}
	}
	f = filter{id: q.Get("id"), user: q.Get("user"), token: q.Get("token"), topic: q.Get("topic")}
	if f.topic != "" {
		if err := topic.CheckPattern(f.topic); err != nil {
			return f, problem.BadRequest("bad_pattern", err.Error())
		}
	}
	return f, nil
}

func (f *filter) matches(c *connection) bool {
	wanted := func(want, got string) bool { return want == "" || want == got }
	follows := func(pattern string) bool { return topic.Overlap(pattern, f.topic) }
	return wanted(f.id, c.ID) && wanted(f.user, c.User) && wanted(f.token, c.Token) &&
		(f.topic == "" || slices.ContainsFunc(c.Topics, follows))
}

// each calls fn for the connections that match, on several goroutines but not at once.
func (h *Handler) each(f filter, fn func(c *stream.Conn, as connection)) {
	var mu sync.Mutex
	h.hub.EachReader(func(c *stream.Conn, topics []string) {
		as := connection{ID: strconv.FormatUint(c.ID(), 10), Topics: topics, Bytes: c.BytesSent()}
		if a := c.RemoteAddr(); a.IsValid() {
			as.Address = a.String()
		}
		if lease, ok := c.Guest().(*gate.Lease); ok {
			as.User, as.Token = lease.User, lease.Token
			if lease.Client.IsValid() { // c knows the proxy
				as.Address = clientAddress(lease.Client)
			}
		}
		if !f.matches(&as) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		fn(c, as)
	})
}

// clientAddress leaves out a port that nobody knows.
func clientAddress(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

func (h *Handler) listConnections(w http.ResponseWriter, v *gate.Visitor, q url.Values) error {
	if v.MaySee(connectionsTopic) != nil { // who may end them may see them
		if err := v.MayOperate(connectionsTopic); err != nil {
			return err
		}
	}
	f, err := readFilter(q, filterParams)
	if err != nil {
		return err
	}
	list, total := []connection{}, 0
	h.each(f, func(_ *stream.Conn, as connection) {
		if total++; len(list) < mostListed {
			as.Topics = slices.Clone(as.Topics)
			list = append(list, as)
		}
	})
	slices.SortFunc(list, func(a, b connection) int { return strings.Compare(a.ID, b.ID) })
	writeJSON(w, http.StatusOK, struct {
		Total       int          `json:"total"` // that match; at most mostListed are listed
		Connections []connection `json:"connections"`
	}{total, list})
	return nil
}

// endConnections ends streams of this server now, and may refuse their users or tokens for
// a while. Other servers that share the log then end theirs, when they hear of it.
func (h *Handler) endConnections(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values) error {
	if err := v.MayOperate(connectionsTopic); err != nil {
		return err
	}
	f, err := readFilter(q, append([]string{"revoke"}, filterParams...))
	if err != nil {
		return err
	}
	if f == (filter{}) {
		return problem.BadRequest("bad_parameter", "say which connections are to be ended: want id, user, token or topic")
	}
	if q.Has("revoke") {
		if err := h.revoke(r.Context(), f, q.Get("revoke")); err != nil {
			return err
		}
	}
	ended := 0
	h.each(f, func(c *stream.Conn, _ connection) {
		_ = c.Notify(stream.RevokedNotice()) // there may be no room for it
		if c.EndWith(stream.Revoked) == nil {
			ended++
		}
	})
	writeJSON(w, http.StatusOK, struct {
		Ended int `json:"ended"`
	}{ended})
	return nil
}

// revoke refuses a user or token from now on.
func (h *Handler) revoke(ctx context.Context, f filter, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxRevoke {
		return problem.BadRequest("bad_parameter", "revoke is "+problem.Quote(text)+": want a duration from 1s to "+maxRevoke.String())
	}
	if (f.user == "") == (f.token == "") || f.id != "" || f.topic != "" {
		return problem.BadRequest("bad_parameter", "revoke goes with user or with token, and with nothing else")
	}
	return h.opts.Gate.Revoke(ctx, f.user, f.token, d)
}
