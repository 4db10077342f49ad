package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// A printer writes messages for one kind of reader.
type printer interface {
	message(rec record, text []byte) error // text is rec as it arrived, without line end
	gap(text []byte) error
}

// newPrinter chooses by what the user asked for. Only a single plain topic needs
// no name in front of each message.
func newPrinter(s Streams, json bool, topics []string) printer {
	if json {
		return &jsonPrinter{s.Out}
	}
	return &textPrinter{
		w:        s.Out,
		topic:    len(topics) > 1 || strings.Contains(topics[0], "*"),
		terminal: isTerminal(s.Out),
		colour:   wantsColour(s),
	}
}

// A jsonPrinter writes records as they arrive.
type jsonPrinter struct{ w io.Writer }

func (p *jsonPrinter) message(_ record, text []byte) error { return p.line(text) }

func (p *jsonPrinter) gap(text []byte) error { return p.line(text) }

func (p *jsonPrinter) line(text []byte) error {
	_, err := fmt.Fprintf(p.w, "%s\n", text)
	return err
}

// A textPrinter writes for people, and for programs that want the bare data.
type textPrinter struct {
	w        io.Writer
	topic    bool // put the topic in front
	terminal bool // control characters must be shown as escapes
	colour   bool
}

func (p *textPrinter) message(rec record, _ []byte) error {
	data := *rec.Data
	if rec.Base64 {
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return fmt.Errorf("message %q: %w", rec.ID, err)
		}
		data = string(raw)
	}
	if p.terminal {
		data = printable(data)
	}
	if p.topic {
		indent := strings.Repeat(" ", len([]rune(rec.Topic))+2)
		data = p.name(rec.Topic) + "  " + strings.ReplaceAll(data, "\n", "\n"+indent)
	}
	_, err := io.WriteString(p.w, data+"\n")
	return err
}

func (p *textPrinter) name(topic string) string {
	if p.terminal {
		topic = printable(topic)
	}
	if p.colour {
		return "\x1b[36m" + topic + "\x1b[m"
	}
	return topic
}

// gap prints nothing: the report on standard error is for people.
func (p *textPrinter) gap([]byte) error { return nil }
