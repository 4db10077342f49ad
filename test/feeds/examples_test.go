package feeds_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An example is what a folder of examples/feeds promises.
type example struct {
	first    string // what its settings file says to run before weir, other than a server
	php, sh  promise
	unending bool // the programs go on, so there may be more messages
}

var examples = map[string]example{
	"amqp": {
		php: promise{10, 1, `exports/7 (progress|done) \{"id":7,"percent":\d+\}`},
		sh:  promise{9, 3, `exports/[789] (begun|halfway|done) \{"id":[789]\}`},
	},
	"command": {
		php:      promise{3, 1, `machine/disk  \{"free":[\d.]+,"total":[\d.]+\}`},
		sh:       promise{3, 1, `machine/load  \{"load":\[[\d.]+,[\d.]+,[\d.]+\]\}`},
		unending: true,
	},
	"file": {
		first: "touch app.log",
		php:   promise{10, 1, `logs/shop INFO \{"message":"order \d+ was paid",.*\}`},
		sh:    promise{10, 1, `logs/backup NOTICE \{"message":"table \d+ is saved",.*\}`},
	},
	"kafka": {
		php: promise{10, 1, `orders/7 position \{"id":7,"lat":[\d.]+,"lon":13.4\}`},
		sh:  promise{9, 3, `orders/[789] (placed|paid|sent) \{"id":[789],"status":"(placed|paid|sent)"\}`},
	},
	"mqtt": {
		php: promise{500, 50, `sensors/\d+/temperature temperature \{"id":"\d+-\w+","sensor":\d+,"celsius":[\d.]+\}`},
		sh:  promise{500, 50, `sensors/\d+/temperature temperature \{"id":"\d+-\d+-\d+","sensor":\d+,"celsius":[\d.]+\}`},
	},
	"nats": {
		php: promise{10, 10, `shop/orders/\d+ created \{"order":\d+,"total":[\d.]+\}`},
		sh:  promise{10, 1, `chat/lobby  line \d+, grüß dich`},
	},
	"postgres": {
		first: "psql -f setup.sql",
		php:   promise{1, 1, `orders/7 paid \{"id":7,"total":12.5\}`},
		sh:    promise{1, 1, `orders/7 packed \{"id":7\}`},
	},
	"redis": {
		php: promise{30, 3, redisLine},
		sh:  promise{30, 3, redisLine},
	},
	"webhook": {
		first: `openssl rand -base64 24 | sed 's/^/whsec_/' > hook.secret`,
		php:   promise{1, 1, `shop/orders/17 paid \{"type":"paid","order":"17"\}`},
		sh:    promise{1, 1, `shop/repositories/weir push \{"repository":"weir"\}`},
	},
}

const redisLine = `live/(users/7 unread \{"unread":\d+\}|jobs/export  \{"id":"[\w-]+","job":"export","percent":\d+0\}|chat/lobby  line \d+, grüß dich)`

// TestExamples starts what each folder has as its first lines say, and looks whether the
// messages arrive.
func TestExamples(t *testing.T) {
	t.Parallel()
	all := filepath.Join(root, "examples", "feeds")
	folders, err := os.ReadDir(all)
	if err != nil {
		t.Fatal(err)
	}
	readme := read(t, filepath.Join(root, "examples", "README.md"))
	if len(folders) != len(examples) {
		t.Errorf("%d folders in %s, and %d examples in this test", len(folders), all, len(examples))
	}
	for _, folder := range folders {
		name := folder.Name()
		e, known := examples[name]
		if !known || !strings.Contains(readme, "| [feeds/"+name+"](feeds/"+name+") |") {
			t.Errorf("examples/feeds/%s is not in this test, or not in examples/README.md", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.run(t, filepath.Join(all, name))
		})
	}
}

func (e *example) run(t *testing.T, dir string) {
	settings := read(t, filepath.Join(dir, "weir.yaml"))
	p := newPlay(t, settings)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		p.write(f.Name(), read(t, filepath.Join(dir, f.Name())))
	}
	if !strings.Contains(settings, "# "+e.first) || !strings.Contains(settings, "weir serve --config weir.yaml\n") {
		t.Errorf("weir.yaml does not say to run %q and weir", e.first)
	}
	p.run(e.first)
	p.serve()
	p.awaitFeeds()
	e.try(p, "producer.php", e.php)
	e.try(p, "producer.sh", e.sh)
	if !e.unending {
		p.awaitPublished(e.php.messages + e.sh.messages)
	}
	p.end()
}

// howTo is how the first lines of a program say to try it. The command is missing if
// weir runs the program.
var howTo = regexp.MustCompile(`^(?:<\?php //|#!/bin/(?:ba)?sh\n#) curl -N '(http://[^']+)'(?: & (.+))?\n`)

// try runs a program while somebody reads.
func (e *example) try(p *play, program string, want promise) {
	p.t.Helper()
	lines := howTo.FindStringSubmatch(read(p.t, filepath.Join(p.dir, program)))
	if lines == nil || (lines[2] == "") != e.unending {
		p.t.Fatalf("%s does not say how to try it, want a first line such as curl -N 'URL' & php producer.php", program)
	}
	if !e.unending && !slices.Contains(strings.Fields(lines[2]), program) {
		p.t.Fatalf("%s says to run %q", program, lines[2])
	}
	follow(p.t, lines[1], func() { p.run(lines[2]) }, want)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
