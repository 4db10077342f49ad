package mqtt

import (
	"strconv"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"

	"github.com/weirstream/weir/internal/feed"
)

// idProperty is the user property that names a message.
const idProperty = "message-id"

func size(p *paho.Publish) int { return len(p.Payload) }

func message(p *paho.Publish) feed.Message {
	m := feed.Message{Body: p.Payload, Key: p.Topic, Properties: properties(p)}
	if len(p.Properties.User) > 0 {
		m.Headers = make(map[string]string, len(p.Properties.User))
	}
	for _, u := range p.Properties.User {
		m.Headers[u.Key] = u.Value // the last of a name holds
	}
	m.ID = m.Headers[idProperty]
	return m
}

// properties are what the protocol says of a message, by the names of the standard.
func properties(p *paho.Publish) map[string]string {
	m := map[string]string{
		"qos":       strconv.Itoa(int(p.QoS)),
		"retain":    strconv.FormatBool(p.Retain),
		"duplicate": strconv.FormatBool(p.Duplicate()),
	}
	if p.Properties.ContentType != "" {
		m["content-type"] = p.Properties.ContentType
	}
	if p.Properties.ResponseTopic != "" {
		m["response-topic"] = p.Properties.ResponseTopic
	}
	if d := p.Properties.CorrelationData; len(d) > 0 && utf8.Valid(d) {
		m["correlation-data"] = string(d)
	}
	if e := p.Properties.MessageExpiry; e != nil {
		m["message-expiry"] = strconv.FormatUint(uint64(*e), 10)
	}
	return m
}
