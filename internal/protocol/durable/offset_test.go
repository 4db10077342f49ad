package durable_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
)

func TestOffsetsSortAndAreResumedFrom(t *testing.T) {
	s := serve(t)
	offsets := []string{s.create("a").next()}
	for i := range 12 {
		s.publish("another", "x")
		offsets = append(offsets, s.append("a", fmt.Sprint(i, ",")).next())
	}
	for i, offset := range offsets {
		if i > 0 && offset <= offsets[i-1] || strings.ContainsAny(offset, ",&=?/") {
			t.Errorf("offset %d is %q, after %q", i, offset, offsets[i-1])
		}
		var want strings.Builder
		for j := i; j < 12; j++ {
			fmt.Fprint(&want, j, ",")
		}
		a := s.read("a?offset="+offset, want.String())
		if a.next() != offsets[12] {
			t.Errorf("after %s comes %s, want %s", offset, a.next(), offsets[12])
		}
	}
}

func TestOffsetsOfOthersAreToldApart(t *testing.T) {
	s := serve(t)
	s.create("a")
	first := s.append("a", "1").next()
	epoch := s.hub.Log().Epoch()
	for _, c := range []struct{ offset, want string }{
		{first, "200"},
		{"0", "200"},
		{"0000000000000000_0000000000000000", "200"},
		{strings.Replace(first, epoch, "aaaaaaaa", 1), "410 gone"},                    // of a log that has been lost
		{strings.Replace(first, "0_"+epoch, "0_"+epoch, 1), "200"},                    // the same
		{"00000000000000009999_" + epoch, "400 bad_offset"},                           // the future
		{"00000000000000000001_" + epoch + "_00000000000000009999", "400 bad_offset"}, // likewise
		{"99999999999999999999_" + epoch, "400 bad_offset"},                           // no position
		{first + "_", "400 bad_offset"},
		{first + "_1", "400 bad_offset"},
		{first + "_00000000000000000001_1", "400 bad_offset"},
		{"_0", "400 bad_offset"},
		{strings.ToUpper(first), "400 bad_offset"},
		{"+" + first[1:], "400 bad_offset"},
	} {
		s.want(s.do("GET", "a?offset="+c.offset, ""), c.want)
	}
	s.want(s.do("DELETE", "a", ""), "204")
	s.publish("another", "x")
	s.create("a")
	s.append("a", "2")
	s.want(s.do("GET", "a?offset="+first, ""), "410 gone") // of the stream that has been deleted
	s.read("a?offset=-1", "2")
}

// TestRetentionTrimsStreams fills a stream that keeps three messages.
func TestRetentionTrimsStreams(t *testing.T) {
	s := serveHub(t, newHub(t, hub.Retention{MaxEntries: 3}), options())
	offsets := []string{s.create("a").next()}
	for i := range 6 {
		offsets = append(offsets, s.append("a", fmt.Sprint(i)).next())
	}
	for i, offset := range offsets {
		want := "410 gone"
		if i >= 3 {
			want = "200"
		}
		s.want(s.do("GET", "a?offset="+offset, ""), want)
		if i < 3 {
			s.want(s.do("GET", "a?live=sse&offset="+offset, ""), want)
			s.want(s.do("GET", "a?live=long-poll&offset="+offset, ""), want)
		}
	}
	for _, target := range []string{"a", "a?offset=-1"} {
		a := s.read(target, "345")
		if a.Header.Get("Weir-Trimmed") != "true" || a.next() != offsets[6] {
			t.Errorf("GET %s: %v, want that it is trimmed and ends at %s", target, a, offsets[6])
		}
	}
	if a := s.do("HEAD", "a", ""); a.Header.Get("Weir-Trimmed") != "true" || a.next() != offsets[6] {
		t.Errorf("HEAD: %v", a)
	}
	if a := s.read("a?offset="+offsets[4], "45"); a.Header.Get("Weir-Trimmed") != "" {
		t.Errorf("a reader who misses nothing is told %v", a.Header)
	}
	s.hub.Log().Forget("a")
	s.want(s.do("GET", "a?offset="+offsets[5], ""), "410 gone")
	if a := s.read("a", ""); a.next() != offsets[6] {
		t.Errorf("of a stream that keeps nothing the end is %s, want %s", a.next(), offsets[6])
	}
	s.read("a?offset="+offsets[6], "")
}

// TestAReaderThatKnowsOfALossIsNotSentBack reads a stream of several pages in the
// middle of which something is missing. That is so after a crash, and in a fork whose
// own beginning is trimmed before what it has inherited.
func TestAReaderThatKnowsOfALossIsNotSentBack(t *testing.T) {
	s := serveHub(t, newHub(t, hub.Retention{MaxEntries: 20}), options())
	s.create("source")
	var inherited strings.Builder
	for i := range 20 {
		data := strings.Repeat(string(rune('a'+i)), maxBytes)
		s.append("source", data)
		inherited.WriteString(data)
	}
	forked := s.want(s.do("PUT", "fork", "", "Stream-Forked-From: "+prefix+"source"), "201").next()
	for i := range 30 {
		s.append("fork", fmt.Sprint(i, ","))
	}
	var got strings.Builder
	target := "fork"
	for upToDate := false; !upToDate; {
		a := s.want(s.do("GET", target, ""), "200")
		got.WriteString(a.body)
		if upToDate = a.Header.Get("Stream-Up-To-Date") == "true"; !upToDate {
			plain := a.next()[:len(forked)]
			if a.next() == plain {
				t.Errorf("offset %s does not say that the reader knows of the loss", a.next())
			}
		}
		target = "fork?offset=" + a.next()
	}
	want := inherited.String()
	for i := 10; i < 30; i++ {
		want += fmt.Sprint(i, ",")
	}
	if got.String() != want {
		t.Errorf("read %d bytes that end with %.100q, want %d", got.Len(), got.String()[max(0, got.Len()-100):], len(want))
	}
	s.want(s.do("GET", "fork?offset="+forked, ""), "410 gone") // somebody who does not know
}
