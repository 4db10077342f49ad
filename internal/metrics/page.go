// Package metrics writes the text that Prometheus reads.
//
// A [Page] is one answer to a scrape. It has no state beyond its text, so whoever
// has counts reads them, writes a page, and forgets it. It belongs to one goroutine.
//
// Source: Prometheus, "Exposition formats", text format 0.0.4.
package metrics

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ContentType is that of a page.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Page is metrics as text. The zero value is empty.
type Page struct{ text []byte }

// A Sample is one value of a metric. Labels tell the samples of a metric apart: they
// are names and values by turns, the same names in every sample.
type Sample struct {
	Value  float64
	Labels []string
}

// Counter adds a metric that only rises while the program runs. Its name ends with
// _total. It panics if a name is none, because names are constants.
func (p *Page) Counter(name, help string, samples ...Sample) {
	if !strings.HasSuffix(name, "_total") {
		panic(fmt.Sprintf("metrics: counter %q does not end with _total", name))
	}
	p.add(name, "counter", help, samples)
}

// Gauge adds a metric that goes up and down. It panics like Counter.
func (p *Page) Gauge(name, help string, samples ...Sample) { p.add(name, "gauge", help, samples) }

// Value is a sample without labels.
func Value[T int | int64 | uint64 | float64](v T) Sample { return Sample{Value: float64(v)} }

// Text returns what was added, in that order.
func (p *Page) Text() []byte { return p.text }

var (
	names       = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	escapeHelp  = strings.NewReplacer("\\", `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`)
)

func (p *Page) add(name, kind, help string, samples []Sample) {
	if !names.MatchString(name) {
		panic(fmt.Sprintf("metrics: %q is not a name", name))
	}
	p.text = fmt.Appendf(p.text, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp.Replace(help), name, kind)
	for _, s := range samples {
		p.text = append(p.text, name...)
		p.labels(s.Labels)
		p.text = append(p.text, ' ')
		p.text = strconv.AppendFloat(p.text, s.Value, 'f', -1, 64)
		p.text = append(p.text, '\n')
	}
}

func (p *Page) labels(labels []string) {
	for i := 0; i < len(labels); i += 2 {
		if !names.MatchString(labels[i]) {
			panic(fmt.Sprintf("metrics: %q is not the name of a label", labels[i]))
		}
		before := byte(',')
		if i == 0 {
			before = '{'
		}
		p.text = fmt.Appendf(append(p.text, before), `%s="%s"`, labels[i], escapeLabel.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		p.text = append(p.text, '}')
	}
}
