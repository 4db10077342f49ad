package bench

import (
	"net/url"
	"strconv"
	"strings"
)

// Placeholders of templates.
const (
	topicMark = "{topic}" // the topic; escaped in a URL
	queryMark = "{query}" // topic=A&topic=B…, for readers of several topics
	dataMark  = "{data}"  // the payload
)

// escapeTopic escapes a topic for a URL, but for the slashes.
func escapeTopic(topic string) string {
	segments := strings.Split(topic, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// expandURL puts topics into a template: the first in place of {topic}.
func expandURL(template string, topics []string) string {
	text := strings.ReplaceAll(template, topicMark, escapeTopic(topics[0]))
	return strings.ReplaceAll(text, queryMark, url.Values{"topic": topics}.Encode())
}

// A splitBody is a body without its payload.
type splitBody struct{ before, after string }

func (b splitBody) len() int { return len(b.before) + len(b.after) }

// expandBody cuts a body for topic at {data}.
func expandBody(template, topic string) splitBody {
	before, after, _ := strings.Cut(strings.ReplaceAll(template, topicMark, topic), dataMark)
	return splitBody{before, after}
}

// requestHead returns the head of a request up to the value of Content-Length,
// which the caller appends with two line ends; or all of it if length is false.
func requestHead(method, target, host string, headers []string, length bool) []byte {
	head := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if length {
		return []byte(head + "Content-Length: ")
	}
	return []byte(head + "\r\n")
}

// appendLength completes a head that requestHead has begun.
func appendLength(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 10), "\r\n\r\n"...)
}
