package disklog

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// sampleEntries have every field at its ends.
func sampleEntries() []*eventlog.Entry {
	many := make([]string, eventlog.MaxEntryTopics)
	for i := range many {
		many[i] = "t/" + strings.Repeat("x", i%200)
	}
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	return []*eventlog.Entry{
		{Seq: 1, Time: at(0), Message: eventlog.Message{Topics: []string{"a"}, Data: []byte{}}},
		{Seq: 2, Time: at(1), Message: eventlog.Message{
			Topics: []string{"a", "b/c"}, Type: "t", ID: "chosen", Key: "k", IdempotencyKey: "i\x00\xff", Retry: 3 * time.Second, State: true, Data: []byte("x\x00\xff")}},
		{Seq: math.MaxUint64, Time: at(math.MaxInt64), Message: eventlog.Message{Topics: many, Retry: math.MaxInt64, Data: make([]byte, 100_000)}},
		{Seq: 4, Time: at(-1), Message: eventlog.Message{Topics: []string{""}, Data: []byte("\x00")}},
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	var scratch []byte
	for _, want := range sampleEntries() {
		scratch = appendRecord(scratch[:0], want)
		got, err := parseEntry(want.Seq, scratch)
		if err == nil && got.Data == nil {
			got.Data = []byte{}
		}
		if err != nil || !reflect.DeepEqual(got.Message, want.Message) || got.Seq != want.Seq || !got.Time.Equal(want.Time) {
			t.Errorf("record of %d: %+v, %v; want %+v", want.Seq, got, err, want)
		}
	}
}

// TestNoDamageOfARecordGoesUnnoticed flips every bit, and cuts at every place.
func TestNoDamageOfARecordGoesUnnoticed(t *testing.T) {
	e := sampleEntries()[1]
	record := appendRecord(nil, e)
	for i := range 8 * len(record) {
		record[i/8] ^= 1 << (i % 8)
		if _, _, err := parseRecord(e.Seq, record); !errors.Is(err, errRecord) || !strings.Contains(err.Error(), "position 2") {
			t.Errorf("bit %d is flipped: %v", i, err)
		}
		record[i/8] ^= 1 << (i % 8)
	}
	for n := range record {
		if _, _, err := parseRecord(e.Seq, record[:n]); !errors.Is(err, errRecord) {
			t.Errorf("%d of %d bytes: %v", n, len(record), err)
		}
	}
	if _, _, err := parseRecord(e.Seq, append(record, 0)); !errors.Is(err, errRecord) {
		t.Errorf("one byte too many: %v", err)
	}
	if _, _, err := parseRecord(e.Seq+1, record); !errors.Is(err, errRecord) {
		t.Errorf("at another position: %v", err)
	}
}

// FuzzParseRecord gives parseRecord arbitrary bytes, as they are and with the right
// checksum. It must not panic, and what it accepts must come back as it was.
func FuzzParseRecord(f *testing.F) {
	for _, e := range sampleEntries() {
		e.Topics, e.Data = e.Topics[:min(2, len(e.Topics))], e.Data[:min(10, len(e.Data))] // a fuzzer likes it short
		f.Add(e.Seq, appendRecord(nil, e))
	}
	f.Add(uint64(1), []byte{})
	f.Add(uint64(1), []byte{0, 0, 0, 0, recordVersion})
	f.Fuzz(func(t *testing.T, seq uint64, b []byte) {
		_, _, _ = parseRecord(seq, b)
		if len(b) < 4 {
			return
		}
		binary.BigEndian.PutUint32(b, checksum(seq, b))
		e, data, err := parseRecord(seq, b)
		if err != nil {
			return
		}
		e.Data = data
		again, data, err := parseRecord(seq, appendRecord(nil, e))
		if again != nil {
			again.Data = data
		}
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v comes back as %+v, %v", e, again, err)
		}
	})
}
