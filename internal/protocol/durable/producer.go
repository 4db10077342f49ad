package durable

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/problem"
)

const (
	maxProducers  = 1000      // remembered of one stream; the one that is silent for longest makes room for a new one
	maxProducerID = 255       // bytes
	maxNumber     = 1<<53 - 1 // of an epoch or a sequence number: JavaScript counts no further
)

// errDuplicate means that a request has been here before.
var errDuplicate = errors.New("durable: duplicate")

// A standing is an error that tells a producer, in headers, where it is.
type standing struct {
	error
	head http.Header
}

func (s *standing) Unwrap() error { return s.error }

// tell sets the headers of a standing, if err is one.
func tell(head http.Header, err error) {
	if s, ok := errors.AsType[*standing](err); ok {
		maps.Copy(head, s.head)
	}
}

// A producer is what is known of one producer of one stream.
type producer struct {
	Epoch int64 `json:"epoch"`
	Seq   int64 `json:"seq"`  // the highest that was accepted in the epoch
	Time  int64 `json:"time"` // of the last request, in milliseconds since 1970
}

// producerHeaders reads the headers of an idempotent producer, of which there are
// all or none; nil is none.
func producerHeaders(header http.Header) (*sequence, error) {
	id, epoch, seq := header["Producer-Id"], header["Producer-Epoch"], header["Producer-Seq"]
	if len(id)+len(epoch)+len(seq) == 0 {
		return nil, nil
	}
	if len(id) != 1 || len(epoch) != 1 || len(seq) != 1 {
		return nil, problem.BadRequest("bad_producer", "of Producer-Id, Producer-Epoch and Producer-Seq, want each once or none at all")
	}
	if id[0] == "" || len(id[0]) > maxProducerID {
		return nil, problem.BadRequest("bad_producer", fmt.Sprintf("Producer-Id has %d bytes: want 1 to %d", len(id[0]), maxProducerID))
	}
	s := &sequence{Producer: id[0]}
	for _, n := range []struct {
		name, text string
		to         *int64
	}{{"Producer-Epoch", epoch[0], &s.Epoch}, {"Producer-Seq", seq[0], &s.Seq}} {
		var ok bool
		if *n.to, ok = wholeNumber(n.text, maxNumber); !ok {
			return nil, problem.BadRequest("bad_producer", n.name+" is "+problem.Quote(n.text)+": want a whole number from 0 to "+strconv.FormatInt(maxNumber, 10))
		}
	}
	return s, nil
}

func setProducer(head http.Header, epoch, seq int64) {
	head.Set("Producer-Epoch", strconv.FormatInt(epoch, 10))
	head.Set("Producer-Seq", strconv.FormatInt(seq, 10))
}

// admit decides about a request of an idempotent producer: errDuplicate, another
// error, or what is to be stored with its messages. Errors may be standings.
func (v *view) admit(name string, by *sequence) ([]eventlog.Put, error) {
	if by == nil {
		return nil, nil
	}
	key := producerKeyOf(name, by.Producer)
	known, err := v.loadProducer(key)
	if err != nil {
		return nil, err
	}
	if err := known.admit(by); err != nil {
		return nil, err
	}
	puts := []eventlog.Put{producer{by.Epoch, by.Seq, time.Now().UnixMilli()}.put(key)}
	if known == nil {
		more, err := v.remember(name, key)
		return append(puts, more...), err
	}
	return puts, nil
}

// admit decides about the next request of a producer, which may be nil: not known.
func (p *producer) admit(by *sequence) error {
	if p == nil {
		p = &producer{Epoch: by.Epoch, Seq: -1}
	}
	if by.Epoch == p.Epoch && by.Seq == p.Seq+1 || by.Epoch > p.Epoch && by.Seq == 0 {
		return nil
	}
	head := make(http.Header)
	return &standing{p.refuse(head, by), head}
}

// refuse says why a request is not the next one, and sets headers.
func (p *producer) refuse(head http.Header, by *sequence) error {
	switch {
	case by.Epoch < p.Epoch:
		head.Set("Producer-Epoch", strconv.FormatInt(p.Epoch, 10))
		return problem.Document{Status: http.StatusForbidden, Code: "stale_epoch", Detail: fmt.Sprintf("Producer-Epoch is %d, but the producer has gone on to %d", by.Epoch, p.Epoch)}
	case by.Epoch > p.Epoch:
		return problem.BadRequest("bad_producer", fmt.Sprintf("Producer-Seq is %d: a new epoch begins with 0", by.Seq))
	case by.Seq <= p.Seq:
		setProducer(head, p.Epoch, p.Seq)
		return errDuplicate
	}
	head.Set("Producer-Expected-Seq", strconv.FormatInt(p.Seq+1, 10))
	head.Set("Producer-Received-Seq", strconv.FormatInt(by.Seq, 10))
	return problem.Conflict("producer_seq", fmt.Sprintf("Producer-Seq is %d, expected is %d: something is missing", by.Seq, p.Seq+1))
}

// keyLen is the length of what stands for a producer's ID in keys of the log: IDs
// are as long and as strange as clients like.
const keyLen = 16

func producerKeyOf(stream, id string) string {
	sum := sha256.Sum256([]byte(id))
	return producersOf(stream, string(sum[:keyLen]))
}

// producersOf is the key of a producer, by the hash of its ID. No topic has a 0.
func producersOf(stream, hash string) string { return producerKey + stream + "\x00" + hash }

func (p producer) put(key string) eventlog.Put {
	b, err := json.Marshal(p)
	if err != nil {
		panic("durable: " + err.Error())
	}
	return eventlog.Put{Key: key, Value: b}
}

// loadProducer returns nil if the producer is not known.
func (v *view) loadProducer(key string) (*producer, error) { return parseProducer(key, v.value(key)) }

func parseProducer(key string, b []byte) (*producer, error) {
	if b == nil {
		return nil, nil
	}
	p := new(producer)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("durable: producer %q: %v", key, err)
	}
	return p, nil
}

// hashes returns what stands for the producers of a stream.
func (v *view) hashes(stream string) (list []string) {
	for b := string(v.value(producerKey + stream)); len(b) >= keyLen; b = b[keyLen:] {
		list = append(list, b[:keyLen])
	}
	return list
}

// remember returns what adds a producer to the list of a stream.
func (v *view) remember(stream, key string) (puts []eventlog.Put, err error) {
	list := v.hashes(stream)
	if len(list) >= maxProducers {
		i, err := v.quietest(stream, list)
		if err != nil {
			return nil, err
		}
		puts = append(puts, eventlog.Put{Key: producersOf(stream, list[i])})
		list = append(list[:i], list[i+1:]...)
	}
	var b []byte
	for _, hash := range append(list, key[len(key)-keyLen:]) {
		b = append(b, hash...)
	}
	return append(puts, eventlog.Put{Key: producerKey + stream, Value: b}), nil
}

// quietest returns the index of the producer that is silent for longest. The change rests
// on that it stays silent, but not on what the others do.
func (v *view) quietest(stream string, list []string) (index int, err error) {
	var oldest int64
	for i, hash := range list {
		key := producersOf(stream, hash)
		p, err := parseProducer(key, v.log.Value(key))
		if err != nil {
			return 0, err
		}
		if p == nil {
			return i, nil
		}
		if i == 0 || p.Time < oldest {
			index, oldest = i, p.Time
		}
	}
	v.value(producersOf(stream, list[index]))
	return index, nil
}

// forgetProducers returns what deletes all producers of a stream.
func (v *view) forgetProducers(stream string) []eventlog.Put {
	puts := []eventlog.Put{{Key: producerKey + stream}}
	for _, hash := range v.hashes(stream) {
		puts = append(puts, eventlog.Put{Key: producersOf(stream, hash)})
	}
	return puts
}
