// Package redislog lets [sharedlog.Log] keep its list in a Redis or Valkey server: a
// single one, one with Sentinel, or a Cluster.
//
// [Connect] returns the engine. How safe a record is when Append returns is a matter
// of the server's settings: with appendfsync always it is on the disk, with everysec a
// power loss may cost a second, without appendonly a restart costs what came after the
// last snapshot. A failover may lose records that the new server had not got yet;
// package sharedlog notices, and puts them back or tells readers.
package redislog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/sharedlog"
)

const (
	leastCount = 64          // records in one answer
	mostCount  = 512         // the same when they are small; should large ones follow, it is some 100 MiB
	readBytes  = 4 << 20     // of such an answer, about
	readWait   = time.Second // for the first of them
)

// An Engine is a connection to the server. It implements [sharedlog.Engine].
type Engine struct {
	client              rueidis.Client
	dialer              dialer
	name                string // of this node, random
	hash, stream, lease string
	turn                string
	count               atomic.Int64 // records to ask for at once
	logger              *slog.Logger
}

// Options configure a connection. Zero fields take the defaults stated.
type Options struct {
	URL    string        // see Connect
	Name   string        // of the log, one of several on a server; "": "weir"
	Wait   time.Duration // for an answer; 0: 5 s
	Logger *slog.Logger  // nil: none
}

// Connect connects to the server at a URL:
//
//	redis://user:password@host:port/database             one server, or a Cluster
//	redis://host:port?addr=host:port&addr=host:port      a Cluster, by several of its nodes
//	redis+sentinel://user:password@host:port/master/database?addr=host:port
//
// and with rediss for redis the same over TLS. All parts but the host are optional.
// Further parameters are skip_verify=true for TLS, and sentinel_user and
// sentinel_password.
//
// It logs a warning if the server's settings may cost messages.
func Connect(ctx context.Context, o Options) (*Engine, error) {
	option, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Name == "" {
		o.Name = "weir"
	}
	if strings.ContainsAny(o.Name, "{}") {
		return nil, fmt.Errorf("redislog: name is %q, want one without braces", o.Name)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	prefix := "{weir:" + o.Name + "}:" // in braces: all in one slot of a Cluster
	e := &Engine{
		name: rand.Text(), logger: o.Logger,
		hash: prefix + "head", stream: prefix + "records", lease: prefix + "cleaner", turn: prefix + "turn",
	}
	fill(&option, o.Wait)
	option.DialCtxFn = e.dialer.dial
	if e.client, err = rueidis.NewClient(option); err != nil {
		return nil, fmt.Errorf("redislog: connect: %w", err)
	}
	e.warn(ctx)
	return e, nil
}

// fill sets what does not come from the URL.
func fill(option *rueidis.ClientOption, wait time.Duration) {
	option.ConnWriteTimeout = wait
	option.Dialer.Timeout = wait
	option.Dialer.KeepAlive = 5 * time.Second
	option.DisableCache = true   // needs nothing of RESP3 then
	option.DisableRetry = true   // whether to try again is sharedlog's to say
	option.PipelineMultiplex = 1 // 2 connections; 0 would be 4
	option.RingScaleEachConn = 8
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	option.BlockingPoolSize = 4
	option.ClientName = "weir"
}

// warn looks for settings that may cost messages. Not every server tells.
func (e *Engine) warn(ctx context.Context) {
	info, err := e.client.Do(ctx, e.client.B().Info().Build()).ToString()
	if err != nil {
		return
	}
	if strings.Contains(info, "\naof_enabled:0") {
		e.logger.Warn("redis has appendonly off: when it is restarted, messages since its last snapshot are lost")
	}
	if strings.Contains(info, "\nmaxmemory_policy:allkeys") {
		e.logger.Warn("redis may evict the log: set maxmemory-policy to noeviction or one of the volatile- policies")
	}
}

// Head implements [sharedlog.Engine].
func (e *Engine) Head(ctx context.Context) (h sharedlog.Head, err error) {
	fields, err := e.client.Do(ctx, e.client.B().Hmget().Key(e.hash).Field("epoch", "settings", "head", "tag").Build()).ToArray()
	if err != nil {
		return h, failure(err)
	}
	if len(fields) != 4 || fields[0].IsNil() {
		return h, nil
	}
	var text [4]string
	for i := range fields {
		if text[i], err = fields[i].ToString(); err != nil {
			return h, fmt.Errorf("redislog: hash %s: %w", e.hash, err)
		}
	}
	h.Epoch, h.Settings, h.Tag = text[0], text[1], text[3]
	if h.Pos, err = strconv.ParseUint(text[2], 10, 64); err != nil {
		err = fmt.Errorf("redislog: hash %s: %w", e.hash, err)
	}
	return h, err
}

// Create implements [sharedlog.Engine].
func (e *Engine) Create(ctx context.Context, epoch, settings string) error {
	return failure(createScript.Exec(ctx, e.client, []string{e.hash, e.stream}, []string{epoch, settings}).Error())
}

// Append implements [sharedlog.Engine].
func (e *Engine) Append(ctx context.Context, epoch string, after sharedlog.Mark, tag string, record []byte, frees bool) (came []sharedlog.Record, err error) {
	args := []string{epoch, decimal(after.Pos), after.Tag, decimal(after.Pos + 1), tag, rueidis.BinaryString(record), e.name}
	answer, err := e.append(ctx, args, frees)
	for err == nil && len(answer) == 1 { // another's turn
		left, _ := answer[0].AsInt64()
		if !backoff.Pause(ctx, time.Duration(min(max(left, 1), 2))*time.Millisecond) {
			return nil, fmt.Errorf("%w: another node's turn: %v", sharedlog.ErrRefused, ctx.Err())
		}
		answer, err = e.append(ctx, args, frees)
	}
	if err != nil || len(answer) == 0 {
		return nil, err
	}
	if now, err := answer[0].ToString(); err == nil && now == epoch && len(answer) > 1 {
		came, _ = records(answer[1].AsXRange()) // without them the caller asks again
	}
	return came, sharedlog.ErrConflict
}

// append runs the script once.
func (e *Engine) append(ctx context.Context, args []string, frees bool) ([]rueidis.RedisMessage, error) {
	keys := []string{e.hash, e.stream, e.turn}
	answer, err := appendScript.Exec(ctx, e.client, keys, args).ToArray()
	if err = failure(err); frees && errors.Is(err, eventlog.ErrFull) {
		answer, err = freeScript.Exec(ctx, e.client, keys, args).ToArray()
		err = failure(err)
	}
	return answer, err
}

// Claim implements [sharedlog.Claimer].
func (e *Engine) Claim(ctx context.Context, d time.Duration) error {
	err := e.client.Do(ctx, e.client.B().Set().Key(e.turn).Value(e.name).Nx().Px(max(d, time.Millisecond)).Build()).Error()
	return failure(err) // somebody else's turn is nil, and comes first
}

// Next implements [sharedlog.Engine].
func (e *Engine) Next(ctx context.Context, after uint64) ([]sharedlog.Record, error) {
	cmd := e.client.B().Xread().Count(max(leastCount, e.count.Load())).Block(readWait.Milliseconds()).Streams().Key(e.stream).Id(id(after)).Build()
	streams, err := e.client.Do(ctx, cmd).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	list, err := records(streams[e.stream], failure(err))
	e.count.Store(fitting(list))
	return list, err
}

// fitting returns how many records to ask for next, if they are as large as these.
func fitting(list []sharedlog.Record) int64 {
	bytes := 1
	for _, r := range list {
		bytes += len(r.Data)
	}
	return int64(min(readBytes*len(list)/bytes, mostCount))
}

// Load implements [sharedlog.Engine].
func (e *Engine) Load(ctx context.Context, positions []uint64) ([][]byte, error) {
	cmds := make(rueidis.Commands, len(positions))
	for i, pos := range positions {
		cmds[i] = e.client.B().Xrange().Key(e.stream).Start(id(pos)).End(id(pos)).Build()
	}
	data := make([][]byte, len(positions))
	for i, answer := range e.client.DoMulti(ctx, cmds...) {
		list, err := records(answer.AsXRange())
		if err != nil {
			return nil, failure(err)
		}
		if len(list) == 1 {
			data[i] = list[0].Data
		}
	}
	return data, nil
}

// Delete implements [sharedlog.Engine].
func (e *Engine) Delete(ctx context.Context, positions []uint64) error {
	ids := make([]string, len(positions))
	for i, pos := range positions {
		ids[i] = id(pos)
	}
	return failure(e.client.Do(ctx, e.client.B().Xdel().Key(e.stream).Id(ids...).Build()).Error())
}

// Lease implements [sharedlog.Engine].
func (e *Engine) Lease(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
	n, err := leaseScript.Exec(ctx, e.client, []string{e.lease}, []string{holder, decimal(uint64(ttl.Milliseconds()))}).AsInt64()
	return n == 1, failure(err)
}

// Close implements [sharedlog.Engine].
func (e *Engine) Close() {
	e.dialer.close()
	e.client.Close()
}

// id is that of the record at a position in the stream.
func id(pos uint64) string { return decimal(pos) + "-0" }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// records turns entries of the stream into records.
func records(list []rueidis.XRangeEntry, err error) ([]sharedlog.Record, error) {
	if err != nil {
		return nil, err
	}
	out := make([]sharedlog.Record, len(list))
	for i, x := range list {
		digits, _ := strings.CutSuffix(x.ID, "-0")
		pos, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("redislog: the stream has an entry %q, which is not of weir", x.ID)
		}
		out[i] = sharedlog.Record{Pos: pos, Data: []byte(x.FieldValues["r"])}
	}
	return out, nil
}

// failure says of an error what is known. An answer that is an error comes from a
// command that was not carried out: scripts check everything before they change
// anything.
func failure(err error) error {
	answer, ok := rueidis.IsRedisErr(err)
	switch {
	case !ok:
		return err
	case strings.HasPrefix(answer.Error(), "OOM"):
		return fmt.Errorf("%w: the memory of redis is: %v", eventlog.ErrFull, answer)
	case errors.Is(err, rueidis.Nil):
		return nil
	}
	return fmt.Errorf("%w: %v", sharedlog.ErrRefused, answer)
}
