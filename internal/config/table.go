package config

import "time"

// declare lists every setting. This is the only place where a setting has a
// name, a default, limits and a meaning.
func (t *table) declare(s *Settings) {
	t.group("", "Listening", "")
	t.listen(&s.Listen, "listen", "127.0.0.1:8080",
		"addresses to listen on: host:port, [::1]:port or unix:/path; in the file also a mapping from a name to {listen: ADDRESS, handler: all|api|page|admin}")
	t.flag(&s.Open, "open", false,
		"allow listening beyond loopback although there is no access control")
	t.flag(&s.Page, "page", true,
		"serve the page at / and its demos")
	t.flag(&s.Metrics, "metrics", true,
		"serve figures for Prometheus at /metrics")
	t.text(&s.Data, "data", "", func(string) error { return nil },
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

	t.group("http", "HTTP", "Limits that hold before a request is understood.")
	t.duration(&s.HTTP.HeaderTimeout, "http.header-timeout", 10*time.Second, within[time.Duration]{time.Second, 10 * time.Minute, noZero},
		"time for the head of a request to arrive")
	t.duration(&s.HTTP.IdleTimeout, "http.idle-timeout", 2*time.Minute, within[time.Duration]{time.Second, day, noZero},
		"time a connection may wait for its next request")
	t.size(&s.HTTP.MaxHeader, "http.max-header", 64*kibi, within[int64]{4 * kibi, 1 * mebi, noZero},
		"bytes in the head of a request")

	t.group("cors", "Pages of other origins", "")
	t.origins(&s.CORS.Origins, "cors.origins",
		"origins whose pages may read and publish, such as https://example.com; * allows any")
	t.flag(&s.CORS.Credentials, "cors.credentials", false,
		"let those pages send cookies; not together with *")

	t.group("", "Durable Streams", "Streams of the Durable Streams protocol: see [durable-streams.md](durable-streams.md).")
	t.text(&s.Durable.Prefix, "durable-streams-prefix", "/v1/streams/", checkPrefix,
		"path below which the streams are; empty turns them off")
	t.duration(&s.Durable.Wait, "durable-streams-wait", 20*time.Second, within[time.Duration]{100 * time.Millisecond, 5 * time.Minute, noZero},
		"time a long poll waits for data")

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

// Limits that a rule of history.topics shares with the setting of the same name.
var (
	maxMessages = within[int]{-1, 100_000_000, orZero}
	maxAge      = within[time.Duration]{time.Second, 10 * 365 * day, orZero}
	maxBytes    = within[int64]{1 * kibi, 1 * tebi, orZero}

	durabilities = []string{"always", "interval", "memory"}
	policies     = []string{"all", "diff", "reset"}
)
