package feeds_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	snippet = regexp.MustCompile("(?ms)^```(yaml|sh|php)\n(.*?)^```$")
	reading = regexp.MustCompile(`(?m)^curl -N '(http://.*)' &\n`)
)

// A source is what a section of docs/feeds.md shows of one: settings, and how to send a
// message.
type source struct{ title, settings, sh, php string }

// sources are the sections that show how to send.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	for _, part := range strings.Split(read(t, filepath.Join(root, "docs", "feeds.md")), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		s, shown := source{title: title}, map[string]*string{}
		shown["yaml"], shown["sh"], shown["php"] = &s.settings, &s.sh, &s.php
		for _, m := range snippet.FindAllStringSubmatch(text, -1) {
			*shown[m[1]] += m[2]
		}
		if s.sh+s.php != "" {
			list = append(list, s)
		}
	}
	return list
}

// TestDocumentedSnippets runs those of docs/feeds.md: what stands before the reader, then
// the reader, then what sends a message, in shell and in PHP.
func TestDocumentedSnippets(t *testing.T) {
	t.Parallel()
	list := sources(t)
	if len(list) < 4 {
		t.Errorf("docs/feeds.md shows %d sources, want RabbitMQ and three of Redis at least", len(list))
	}
	for _, s := range list {
		t.Run(strings.ReplaceAll(s.title, " ", "-"), func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s *source) run(t *testing.T) {
	at := reading.FindStringSubmatchIndex(s.sh)
	if at == nil || s.settings == "" || s.php == "" {
		t.Fatalf("want settings, commands with a line curl -N 'URL' &, and PHP:\n%+v", s)
	}
	p := newPlay(t, s.settings)
	if strings.Contains(s.settings, "postgres://") { // the roles, which the section refers to
		p.write("setup.sql", read(t, filepath.Join(root, "examples", "feeds", "postgres", "setup.sql")))
		p.run(examples["postgres"].first)
	}
	p.write("producer.php", prelude(s.php)+s.php)
	p.serve()
	p.run(s.sh[:at[0]])
	p.awaitFeeds()
	url, one := p.text.Replace(s.sh[at[2]:at[3]]), promise{1, 1, ".*"}
	follow(t, url, func() { p.run(s.sh[at[1]:]) }, one)
	follow(t, url, func() { p.run("php producer.php") }, one)
	p.end()
}

// prelude is what PHP code needs that does not show it.
func prelude(code string) string {
	if strings.Contains(code, "PhpAmqpLib") {
		return "<?php require 'PhpAmqpLib/autoload.php';\n"
	}
	return "<?php\n"
}
