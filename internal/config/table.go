package config

import (
	"io/fs"
	"time"

	"github.com/weirstream/weir/internal/topic"
)

// declare lists every setting. This is the only place where a setting has a
// name, a default, limits and a meaning.
func (t *table) declare(s *Settings) {
	t.group("", "Listening", "")
	t.listen(&s.Listen, "listen", "127.0.0.1:8080",
		"addresses to listen on: host:port, [::1]:port, tls:host:port or unix:/path; in the file also a mapping from a name to {listen: ADDRESS, handler: all|api|page|admin}")
	t.flag(&s.Open, "open", false,
		"let anybody do anything, also from other machines; not together with access control")
	scalar(t, &s.SocketMode, 0, Row{Name: "socket-mode", Kind: "text", Limits: "0600 to 0777, or 0", Help: "permissions of the sockets of unix: listeners, such as 0660; 0 leaves them to the umask"},
		parseMode, formatMode, func(m fs.FileMode) any { return formatMode(m) })
	t.flag(&s.Page, "page", true,
		"serve the page at / and its demos")
	t.flag(&s.Metrics, "metrics", true,
		"serve figures for Prometheus at /metrics")
	t.text(&s.Data, "data", "", anything,
		"directory in which messages are kept over restarts; empty keeps them in memory only")

	t.group("stream", "Streams", "One open response.")
	t.duration(&s.Stream.Heartbeat, "stream.heartbeat", 20*time.Second, within[time.Duration]{time.Second, time.Hour, orZero},
		"silence before a heartbeat is sent; 0 sends none")
	t.duration(&s.Stream.Retry, "stream.retry", 2*time.Second, within[time.Duration]{100 * time.Millisecond, time.Hour, noZero},
		"reconnection time told to readers; each is told a slightly different one")
	t.duration(&s.Stream.MaxAge, "stream.max-age", 0, within[time.Duration]{10 * time.Second, 365 * day, orZero},
		"age at which a stream is ended, give or take a little, so that its reader reconnects; 0 is no limit")
	t.size(&s.Stream.Buffer, "stream.buffer", 1*mebi, within[int64]{4 * kibi, 1 * gibi, noZero},
		"bytes a handler may write to one connection ahead of its client")
	t.duration(&s.Stream.UserTimeout, "stream.user-timeout", time.Minute, within[time.Duration]{time.Second, day, orZero},
		"time after which a connection whose client acknowledges nothing is given up; 0 leaves it to the system")

	t.group("hub", "Topics and readers", "")
	t.size(&s.Hub.MaxMessage, "hub.max-message", 1*mebi, within[int64]{1, 64 * mebi, noZero},
		"largest message accepted, in bytes of data")
	t.number(&s.Hub.MaxTopicsPerReader, "hub.max-topics-per-reader", 100, within[int]{1, 100_000, noZero},
		"most topics and patterns in one subscription")
	t.choice(&s.Hub.Policy, "hub.policy", "diff", policies,
		"what a reader gets after a gap: everything kept, what it missed and is still kept, or nothing")
	t.choice(&s.Hub.Slow, "hub.slow", "catch-up", []string{"catch-up", "latest", "close"},
		"what happens to a reader that falls behind: it reads on from the log, gets only the newest of each topic or key, or is closed")

	t.group("history", "History", "What is kept for readers that come back.")
	t.number(&s.History.MaxMessages, "history.max-messages", 10_000, maxMessages,
		"messages kept per topic; 0 is no limit, -1 keeps nothing")
	t.duration(&s.History.MaxAge, "history.max-age", day, maxAge,
		"age of the oldest message kept per topic; 0 is no limit")
	t.size(&s.History.MaxBytes, "history.max-bytes", 16*mebi, maxBytes,
		"bytes of data kept per topic; 0 is no limit")
	t.size(&s.History.TotalBytes, "history.total-bytes", 0, within[int64]{64 * kibi, 1 * tebi, orZero},
		"bytes kept in the whole log, data and overhead; 0 is 256MiB in memory and 8GiB with --data")
	t.number(&s.History.MaxTopics, "history.max-topics", 100_000, within[int]{1, 10_000_000, noZero},
		"topics known at once, about 1 KiB each without messages; the one idle for longest makes room for a new one")
	t.duration(&s.History.IdempotencyWindow, "history.idempotency-window", 10*time.Minute, within[time.Duration]{time.Second, 30 * day, noZero},
		"time for which a message that is sent again with its idempotency key is not stored again")
	t.number(&s.History.IdempotencyKeys, "history.idempotency-keys", 1_000_000, within[int]{1, 100_000_000, noZero},
		"idempotency keys remembered at most, about 150 bytes each; the oldest makes room for a new one")
	t.rules(&s.History.Topics, "history.topics",
		"rules {topic: PATTERN, max-messages:, max-age:, max-bytes:, durability:, policy:} for some topics; the first that matches counts, and what it leaves out is taken from above, disk.durability and hub.policy")

	t.group("disk", "History on disk", "With --data.")
	t.choice(&s.Disk.Durability, "disk.durability", "always", durabilities,
		"a message is acknowledged when it is on the disk (fsync), at once and on the disk within disk.interval, or at once and never on the disk")
	t.duration(&s.Disk.Interval, "disk.interval", 100*time.Millisecond, within[time.Duration]{time.Millisecond, time.Minute, noZero},
		"time within which messages of durability interval are on the disk")
	t.size(&s.Disk.Memory, "disk.memory", 64*mebi, within[int64]{1 * mebi, 1 * tebi, noZero},
		"bytes of the newest messages that stay in memory, with overhead; older ones are read from the disk")

	t.group("nodes", "Several nodes", "Servers that share one log: see [nodes.md](nodes.md).")
	scalar(t, &s.Nodes.Log, "", Row{Name: "nodes.log", Kind: "text", Help: "URL of the Redis or NATS server that keeps the log for all nodes, such as redis://host:6379 or nats://host:4222; also written --log; empty keeps it here"},
		func(text string) (string, error) { return text, checkLog(text) }, withoutPassword, func(v string) any { return withoutPassword(v) })
	t.text(&s.Nodes.Name, "nodes.name", "weir", checkLogName,
		"name of the log there, the same for all nodes")
	t.duration(&s.Nodes.Wait, "nodes.wait", 5*time.Second, within[time.Duration]{100 * time.Millisecond, time.Minute, noZero},
		"time that publishing waits for an answer from there before it is refused")

	t.group("", "Feeds", "What other systems have: see [feeds.md](feeds.md).")
	t.feeds(&s.Feeds, "feeds",
		"queues, channels, files and commands whose messages are published: a mapping from a name to {from: URL, topic: TEMPLATE, …}")

	t.group("", "Webhooks", "Applications that are told what happens: see [webhooks.md](webhooks.md).")
	t.webhooks(&s.Webhooks, "webhooks",
		"URLs to which events are sent: a mapping from a name to {url: URL, secret-file: FILE, topics: PATTERNS, …}")

	t.group("presence", "Presence", "Who reads which topic: see [presence.md](presence.md).")
	t.list(&s.Presence.Topics, "presence.topics",
		"patterns of topics whose readers are known, such as rooms/*", topic.CheckPattern)
	t.duration(&s.Presence.Grace, "presence.grace", 5*time.Second, within[time.Duration]{100 * time.Millisecond, time.Hour, orZero},
		"time for which somebody who has gone may come back and has not left; 0 is none")
	t.number(&s.Presence.Users, "presence.users", 100_000, within[int]{1, 10_000_000, noZero},
		"users known on one node, each counted in each topic, about 300 bytes each; who comes then is not known")

	t.group("http", "HTTP", "Limits that hold before a request is understood.")
	t.duration(&s.HTTP.HeaderTimeout, "http.header-timeout", 10*time.Second, within[time.Duration]{time.Second, 10 * time.Minute, noZero},
		"time for the head of a request to arrive")
	t.duration(&s.HTTP.BodyTimeout, "http.body-timeout", 30*time.Second, within[time.Duration]{time.Second, day, orZero},
		"time for the body of a request to arrive, or for each line of JSON lines once it has begun; 0 is no limit")
	t.duration(&s.HTTP.IdleTimeout, "http.idle-timeout", 2*time.Minute, within[time.Duration]{time.Second, day, noZero},
		"time a connection may wait for its next request")
	t.size(&s.HTTP.MaxHeader, "http.max-header", 64*kibi, within[int64]{4 * kibi, 1 * mebi, noZero},
		"bytes in the head of a request")
	t.number(&s.HTTP.MaxStreams, "http.max-streams", 250, within[int]{1, 100_000, noZero},
		"requests open at once on one HTTP/2 connection")
	t.flag(&s.HTTP.H2C, "http.h2c", false,
		"HTTP/2 also on listeners without TLS, for proxies that speak it")
	t.flag(&s.HTTP.Buffering, "http.proxy-buffering", false,
		"leave out the header X-Accel-Buffering: no, so that a proxy may collect what streams send")

	t.group("cors", "Pages of other origins", "")
	t.origins(&s.CORS.Origins, "cors.origins",
		"origins whose pages may read and publish, such as https://example.com, https://*.example.com or http://localhost:*; * allows any")
	t.flag(&s.CORS.Credentials, "cors.credentials", false,
		"let those pages send cookies; not together with *")

	t.declareAccess(&s.Access)
	t.declareLimits(&s.Limits)

	t.group("tls", "TLS", "For listeners whose address begins with `tls:`.")
	t.text(&s.TLS.CertFile, "tls.cert-file", "", anything,
		"file with the certificate and its chain (PEM); read again when it changes")
	t.text(&s.TLS.KeyFile, "tls.key-file", "", anything,
		"file with its key (PEM)")
	records(t, &s.TLS.Certificates, "tls.certificates",
		"further pairs {cert: FILE, key: FILE}; which is shown depends on the server name that the client asks for", (*file).certificate,
		func(c Certificate) string { return c.Cert })
	t.choice(&s.TLS.MinVersion, "tls.min-version", "1.2", []string{"1.2", "1.3"},
		"oldest version of TLS accepted")
	t.list(&s.TLS.ACME.Domains, "tls.acme-domains",
		"domains for which certificates are got by ACME, as from Let's Encrypt; needs port 443, or port 80 without TLS, to be reachable", checkDomain)
	t.text(&s.TLS.ACME.Email, "tls.acme-email", "", anything,
		"address that the authority may write to")
	t.text(&s.TLS.ACME.Directory, "tls.acme-directory", "", checkURL,
		"URL of the authority's directory; empty is Let's Encrypt")
	t.text(&s.TLS.ACME.CAFile, "tls.acme-ca-file", "", anything,
		"file with the certificate (PEM) by which the authority's own server is known; empty trusts what the system does")
	t.text(&s.TLS.ACME.Cache, "tls.acme-cache", "", anything,
		"directory in which those certificates are kept; empty is acme in the directory of data")

	t.group("proxy", "Proxies in front", "See [proxies.md](proxies.md).")
	t.list(&s.Proxy.Trusted, "proxy.trusted",
		"proxies whose word on the client's address counts: addresses, prefixes such as 10.0.0.0/8, and the words loopback, private and unix", anything)
	t.choice(&s.Proxy.Header, "proxy.header", "X-Forwarded-For", []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"},
		"header in which they name it")
	t.flag(&s.Proxy.Protocol, "proxy.protocol", false,
		"connections of those proxies begin with a PROXY protocol header, version 1 or 2")

	t.group("", "Durable Streams", "Streams of the Durable Streams protocol: see [durable-streams.md](durable-streams.md).")
	t.text(&s.Durable.Prefix, "durable-streams-prefix", "/v1/streams/", checkPrefix,
		"path below which the streams are; empty turns them off")
	t.duration(&s.Durable.Wait, "durable-streams-wait", 20*time.Second, within[time.Duration]{100 * time.Millisecond, 5 * time.Minute, noZero},
		"time a long poll waits for data")

	t.group("trace", "Traces", "Spans of publishing, for OpenTelemetry.")
	t.text(&s.Trace.Endpoint, "trace.endpoint", "", checkURL,
		"URL of an OTLP receiver over HTTP, such as http://127.0.0.1:4318; empty sends none")
	t.fraction(&s.Trace.Ratio, "trace.ratio", 0.01,
		"share of publishes that are traced when the publisher has sent no traceparent that decides it")

	t.group("drain", "Stopping", "")
	t.duration(&s.Drain.Window, "drain.window", 5*time.Second, within[time.Duration]{100 * time.Millisecond, 10 * time.Minute, orZero},
		"readers are told to come back after half a second, and then spread over this time")
	t.duration(&s.Drain.Timeout, "drain.timeout", 30*time.Second, within[time.Duration]{time.Second, time.Hour, noZero},
		"time after which connections that are still open are closed")

	t.group("log", "Log", "")
	t.choice(&s.Log.Format, "log.format", "text", []string{"text", "json"},
		"form of the log lines")
	t.choice(&s.Log.Level, "log.level", "info", []string{"debug", "info", "warn", "error"},
		"least important line that is logged")
	t.flag(&s.Log.Access, "log.access", false,
		"log each request, and each stream when it ends, with level info")
}

func (t *table) declareAccess(a *Access) {
	t.group("access", "Access", "Who may do what: see [access.md](access.md). It is on as soon as a key, a file of keys or a URL is given.")
	t.secret(&a.Secret, "access.secret", checkSecret,
		"secret of tokens that are signed with HS256, HS384 or HS512, 32 bytes or more")
	t.text(&a.SecretFile, "access.secret-file", "", anything,
		"file that holds that secret")
	t.text(&a.PublicKeyFile, "access.public-key-file", "", anything,
		"file with public keys or certificates (PEM) of tokens that are signed with RSA, ECDSA or Ed25519")
	t.text(&a.JWKS, "access.jwks-url", "", checkURL,
		"URL of a JWK set with such keys")
	t.text(&a.Issuer, "access.issuer", "", anything,
		"issuer (iss) that tokens must have; empty accepts any")
	t.list(&a.Audience, "access.audience",
		"audiences (aud) of which a token must have one; none accepts any", anything)
	t.duration(&a.Leeway, "access.leeway", 30*time.Second, within[time.Duration]{time.Second, 5 * time.Minute, orZero},
		"time by which clocks may differ when a token begins and expires")
	records(t, &a.APIKeys, "access.api-keys",
		"keys of programs: {name: NAME, sha256: HEX, publish: PATTERNS, subscribe: PATTERNS}", (*file).apiKey,
		func(k APIKey) string { return k.Name })
	t.text(&a.APIKeysFile, "access.api-keys-file", "", anything,
		"file with a line NAME:sha256:HEX for each such key; it may publish to every topic unless the line says otherwise")
	t.text(&a.Forward.URL, "access.forward-url", "", checkURL,
		"URL of an application that is asked what a request may do")
	t.duration(&a.Forward.Timeout, "access.forward-timeout", 5*time.Second, within[time.Duration]{100 * time.Millisecond, time.Minute, noZero},
		"time it has to answer")
	t.duration(&a.Forward.Cache, "access.forward-cache", 10*time.Second, within[time.Duration]{time.Second, day, orZero},
		"time for which an answer holds for equal requests; 0 asks each time")
	t.text(&a.Cookie, "access.cookie", "__Host-weir", checkCookie,
		"cookie in which a browser may send a token; empty for none")
	t.number(&a.Tickets, "access.tickets", 16_384, within[int]{1, 1_000_000, orZero},
		"tickets that may be waiting to be used; 0 issues none")
	t.list(&a.Publish, "access.anonymous-publish",
		"topics and patterns that anybody may publish to", topic.CheckPattern)
	t.list(&a.Subscribe, "access.anonymous-subscribe",
		"topics and patterns that anybody may read", topic.CheckPattern)
}

func (t *table) declareLimits(l *Limits) {
	t.group("limits", "Limits", "What clients may use: see [limits.md](limits.md). At a limit a request is answered with 429 or 503 and `Retry-After`.")
	t.number(&l.Streams, "limits.streams", 0, within[int]{1, 100_000_000, orZero},
		"streams open at once; 0 is as many as the limit of open files leaves room for")
	t.number(&l.StreamsPerIP, "limits.streams-per-ip", 0, count,
		"streams open at once from one address; 0 is 1000, or no limit where only this machine can reach the server; -1 is no limit")
	t.number(&l.StreamsPerUser, "limits.streams-per-user", 100, within[int]{1, 1_000_000, orZero},
		"streams open at once of one user, unless the grant says otherwise; 0 is no limit")
	t.number(&l.StreamsPerToken, "limits.streams-per-token", 0, within[int]{1, 1_000_000, orZero},
		"streams open at once with one token or key; 0 is no limit")
	t.number(&l.PublishPerIP, "limits.publish-per-ip", 0, count,
		"messages per second from one address without a user, for ten seconds at most at once; 0 is 100, or no limit where only this machine can reach the server; -1 is no limit")
	t.number(&l.PublishPerUser, "limits.publish-per-user", 0, within[int]{1, 10_000_000, orZero},
		"messages per second of one user, for ten seconds at most at once, unless the grant says otherwise; 0 is no limit")
	t.size(&l.ReplayPerClient, "limits.replay-per-client", 0, within[int64]{-1, 1 * tebi, orZero},
		"bytes of history per second that one user, or one address without a user, may have replayed, a minute's worth at once; 0 is 4MiB, or no limit where only this machine can reach the server; -1 is no limit")
	t.size(&l.Memory, "limits.memory", 0, within[int64]{32 * mebi, 64 * tebi, orZero},
		"resident memory from which on new streams and messages are refused; 0 is 80% of what the machine or container has")
	t.number(&l.IPv6Prefix, "limits.ipv6-prefix", 64, within[int]{32, 128, noZero},
		"bits of an IPv6 address that tell clients apart")
	t.number(&l.Clients, "limits.clients", 100_000, within[int]{1000, 10_000_000, noZero},
		"addresses, users and tokens that are counted at once, about 200 bytes each")
}

// count is a number of which 0 and -1 mean something else.
var count = within[int]{-1, 100_000_000, orZero}

// Limits that a rule of history.topics shares with the setting of the same name.
var (
	maxMessages = within[int]{-1, 100_000_000, orZero}
	maxAge      = within[time.Duration]{time.Second, 10 * 365 * day, orZero}
	maxBytes    = within[int64]{1 * kibi, 1 * tebi, orZero}

	durabilities = []string{"always", "interval", "memory"}
	policies     = []string{"all", "diff", "reset"}
)
