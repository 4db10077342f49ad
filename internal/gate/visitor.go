package gate

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/topic"
)

// A Visitor is who sends a request.
type Visitor struct {
	gate    *Gate
	rules   *force
	known   bool // there is access control, and grant is what it says
	grant   access.Grant
	client  netip.AddrPort // not valid for a unix socket
	address limit.Key
}

// Private reports whether what the visitor gets may not be for all.
func (v *Visitor) Private() bool { return v.known }

// Expires returns when what the visitor has opened is to be closed; zero: never.
func (v *Visitor) Expires() time.Time { return v.grant.Expires }

// Still returns nil while what was found out about the visitor holds. It is asked
// again before an answer that had to wait, and before what comes later in a request.
func (v *Visitor) Still() error {
	if !v.known {
		return nil
	}
	if v.grant.Expired(time.Now()) {
		return v.gate.refuse(&access.Error{Code: access.ExpiredToken, Detail: "the token has expired meanwhile"})
	}
	return v.gate.refuse(v.gate.revoked(v.grant))
}

// MayPublish returns nil if the visitor may publish to a topic. While there is access
// control, it also refuses what is no topic.
func (v *Visitor) MayPublish(name string) error {
	if !v.known {
		return nil
	}
	if err := topic.Check(name); err != nil {
		return problem.BadRequest("bad_topic", err.Error())
	}
	return v.gate.refuse(v.grant.MayPublish(name))
}

// Presence begins the topics that tell who reads other topics.
const Presence = Reserved + "presence/"

// MaySubscribe returns nil if the visitor may read all that a name or pattern
// matches. Who may read a topic may also know who else reads it. While there is access
// control, it also refuses what is no pattern.
func (v *Visitor) MaySubscribe(pattern string) error {
	if !v.known {
		return nil
	}
	if err := topic.CheckPattern(pattern); err != nil {
		return problem.BadRequest("bad_pattern", err.Error())
	}
	if of, ok := strings.CutPrefix(pattern, Presence); ok && v.grant.MaySubscribe(of) == nil {
		return nil
	}
	return v.gate.refuse(v.grant.MaySubscribe(pattern))
}

// Reserved begins the topics that are the server's own, and the names of what else
// belongs to it.
const Reserved = "weir/"

// MaySee returns nil if the visitor may read what belongs to the server, such as
// "weir/metrics". A grant of "**" is about topics and not enough: one that begins with
// weir/ is needed.
func (v *Visitor) MaySee(name string) error {
	if !v.known {
		return nil
	}
	return v.gate.refuse(access.Grant{User: v.grant.User, Subscribe: own(v.grant.Subscribe)}.MaySubscribe(name))
}

// MayOperate is like MaySee for what is changed, which publish grants.
func (v *Visitor) MayOperate(name string) error {
	if !v.known {
		return nil
	}
	return v.gate.refuse(access.Grant{User: v.grant.User, Publish: own(v.grant.Publish)}.MayPublish(name))
}

// own returns the patterns that name what belongs to the server.
func own(patterns []string) (named []string) {
	for _, p := range patterns {
		if strings.HasPrefix(p, Reserved) {
			named = append(named, p)
		}
	}
	return named
}

// Ticket issues a ticket for what the visitor may do.
func (v *Visitor) Ticket(ctx context.Context) (text string, expires time.Time, err error) {
	if v.gate.opts.Tickets == nil || !v.known {
		return "", expires, notPossible("this server issues no tickets: it asks nobody who they are, or access.tickets is 0")
	}
	expires = time.Now().Add(access.TicketLife)
	text, err = v.gate.opts.Tickets.Issue(ctx, v.grant)
	return text, expires, v.gate.refuse(err)
}

// burst is for how many seconds a client may be faster than its rate at once.
const (
	publishBurst = 10
	replayBurst  = 60
)

// Publish counts messages, before they are published.
func (v *Visitor) Publish(n int) error {
	if err := v.admit(); err != nil {
		return err
	}
	if err := v.Still(); err != nil { // the body may have taken hours
		return err
	}
	key, rate := v.publishLimit()
	if rate == 0 {
		return nil
	}
	return asProblem(v.gate.published.Admit(key, n, float64(rate), rate*publishBurst))
}

// publishLimit returns whom messages are counted for, and how many there may be in a
// second; 0 is no limit.
func (v *Visitor) publishLimit() (limit.Key, int) {
	l := &v.rules.Limits
	switch {
	case v.grant.Limits.Rate > 0:
		return v.holder(), v.grant.Limits.Rate
	case v.grant.User != "":
		return limit.UserKey(v.grant.User), l.PublishPerUser
	}
	return v.address, l.PublishPerIP
}

// holder is whom the limits of a grant are for: its user, or the token if that names
// none.
func (v *Visitor) holder() limit.Key {
	if v.grant.User != "" {
		return limit.UserKey(v.grant.User)
	}
	return limit.TokenKey(v.grant.Token())
}

// admit refuses everything that needs memory when that is short.
func (v *Visitor) admit() error {
	if m := v.gate.opts.Memory; m != nil && m.Over() {
		return asProblem(m.Admit())
	}
	return nil
}

// Open takes what a stream of topics needs of the server. replay says that it will read
// history. The caller must call Abandon of the lease, which does nothing if a stream
// has taken it over.
func (v *Visitor) Open(replay bool, topics ...string) (*Lease, error) {
	if err := v.admit(); err != nil {
		return nil, err
	}
	if err := v.Still(); err != nil {
		return nil, err
	}
	meter, err := v.replayMeter(replay)
	if err != nil {
		return nil, err
	}
	limits := &v.rules.Limits
	if !v.known && limits.StreamsPerIP == 0 {
		return v.openUncounted(meter, topics)
	}
	slots, err := v.gate.slots.Take(limits.Streams, v.wants()...)
	if err != nil {
		return nil, asProblem(err)
	}
	l := &Lease{
		slots: slots, meter: meter, User: v.grant.User, Token: v.grant.Token(), Expires: v.grant.Expires, Client: v.client,
		Topics: topics, Info: v.grant.Info, issued: v.grant.Issued,
	}
	if v.known {
		l.gate = v.gate
	}
	return l, nil
}

// Replay is for history that is read without a stream. It refuses who has read too
// much; read is to be told how many bytes there were, afterwards.
func (v *Visitor) Replay() (read func(bytes int64), err error) {
	meter, err := v.replayMeter(true)
	return meter.Add, err
}

// replayMeter returns what counts the history that is read for a stream, or nil if
// nothing does. It refuses who has read too much and wants more.
func (v *Visitor) replayMeter(more bool) (*limit.Meter, error) {
	rate, key := v.rules.Limits.Replay, v.reader()
	if rate == 0 {
		return nil, nil
	}
	if more {
		if err := v.gate.replayed.AdmitDebtor(key, float64(rate), int(rate)*replayBurst); err != nil {
			return nil, asProblem(err)
		}
	}
	return v.gate.replayed.Meter(key, float64(rate)), nil
}

// openUncounted is for streams of which only the number of all is bounded. The
// engine counts them.
func (v *Visitor) openUncounted(meter *limit.Meter, topics []string) (*Lease, error) {
	most := v.rules.Limits.Streams
	if open := v.gate.opts.Open(); most > 0 && open >= most {
		return nil, tooManyStreams(open, most)
	}
	if meter == nil && !v.gate.opts.Named {
		return v.rules.free, nil
	}
	return &Lease{meter: meter, Topics: topics, uncounted: !v.gate.opts.Named}, nil
}

// reader is whom history is charged to.
func (v *Visitor) reader() limit.Key {
	if v.grant.User != "" {
		return limit.UserKey(v.grant.User)
	}
	return v.address
}

// wants are the slots of a stream. A token with a limit of its own and no user is
// held to the stricter of the two that are for tokens.
func (v *Visitor) wants() []limit.Want {
	l := &v.rules.Limits
	user, token := l.StreamsPerUser, l.StreamsPerToken
	if own := v.grant.Limits.Streams; own > 0 && v.grant.User != "" {
		user = own
	} else if own > 0 && (token == 0 || own < token) {
		token = own
	}
	return []limit.Want{
		{Key: v.address, Limit: l.StreamsPerIP},
		{Key: limit.UserKey(v.grant.User), Limit: user},
		{Key: limit.TokenKey(v.grant.Token()), Limit: token},
	}
}
