package clients_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestConsoleShowsComplaints(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	page.awaitText("#state-text", is("Open"))
	page.checkConsole()
	eval[bool](page, `() => { document.body.setAttribute("onclick", "1"); document.body.insertAdjacentHTML("beforeend", "<style>b{}</style>"); return true }`)
	await(t, "a complaint about an inline style", func() error {
		if got := page.console.String(); !strings.Contains(got, "Content Security Policy") {
			return fmt.Errorf("the console has %q", got)
		}
		return nil
	})
}

func TestPlaygroundShowsWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := serve(t)
	page := open(t, s.url+"/")
	page.awaitText("#state-text", is("Open"))
	page.write("#watch-topic", "orders/*")
	page.click("#watch button[type=submit]")
	page.awaitTexts("#chips li", 2)
	page.awaitText("#state-text", is("Open"))

	page.write("#pub-topic", "orders/水")
	page.write("#pub-type", "price")
	page.write("#pub-data", `{"eur": 17, "note": "🌊 <b>"}`)
	page.click("#publish button[type=submit]")
	page.awaitText("#pub-result", func(text string) bool { return strings.HasPrefix(text, "Kept as ") })
	fromElsewhere := s.publish("playground", "two\nlines", "")
	page.awaitTexts("#feed-rows .row", 2)

	for selector, want := range map[string][]string{
		".row-topic": {"orders/水", "playground"},
		".row-type":  {"price", ""},
		".row-data":  {`{"eur": 17, "note": "🌊 <b>"}`, "two\nlines"},
	} {
		if got := page.texts("#feed-rows " + selector); !slices.Equal(got, want) {
			t.Errorf("the list shows %s %q, want %q", selector, got, want)
		}
	}
	if got := page.texts("#feed-rows .row-id"); got[1] != fromElsewhere {
		t.Errorf("the list shows the IDs %q, want %s as the second", got, fromElsewhere)
	}
	page.awaitText("#last-id", is(fromElsewhere))
	page.checkConsole()
}

func TestPlaygroundResumesAfterItsButtonCutsTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	page := open(t, s.url+"/?topic=a")
	page.awaitText("#state-text", is("Open"))
	s.publishNumbers("a", 1, 3)
	page.awaitTexts("#feed-rows .row", 3)
	page.click("#cut")
	page.awaitText("#cut", is("Come back now"))
	s.publishNumbers("a", 4, 8)
	page.click("#cut")
	page.awaitTexts("#feed-rows .row", 8)
	s.publishNumbers("a", 9, 9)
	page.awaitTexts("#feed-rows .row", 9)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 9)
	page.checkConsole()
}

func TestPageShowsAGrowingLogAcrossABrokenNetwork(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	p := newProxy(t, s.addr)
	log := growingLog(t, s, "logs")
	page := open(t, p.url+"/?topic=logs")
	page.awaitText("#state-text", is("Open"))
	log.append(1, 40)
	page.awaitTexts("#feed-rows .row", 40)
	p.setDown(true)
	page.awaitText("#state-text", func(text string) bool { return strings.HasPrefix(text, "Reconnecting") })
	log.append(41, 90)
	p.setDown(false)
	page.awaitText("#state-text", func(text string) bool { return strings.HasPrefix(text, "Open") })
	log.append(91, 120)
	page.awaitTexts("#feed-rows .row", 120)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 120)
	if got := page.texts("#feed-rows .gap"); len(got) != 0 {
		t.Errorf("the page shows the gaps %q", got)
	}
}

func TestPageShowsThatTheServerStartedAnew(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	page := open(t, s.url+"/?topic=a")
	page.awaitText("#state-text", is("Open"))
	seen := s.publish("a", "1", "")
	page.awaitTexts("#feed-rows .row", 1)
	s.Kill()
	page.awaitText("#state-text", func(text string) bool { return strings.HasPrefix(text, "Reconnecting") })
	s = s.restart()
	s.publish("a", "2", "")
	gap := page.awaitTexts("#feed-rows .gap", 1)
	if !strings.Contains(gap[0], seen) || !strings.Contains(gap[0], "started anew") {
		t.Errorf("the page says %q, want that what follows %s may be missing because the server was started anew", gap[0], seen)
	}
	page.awaitTexts("#feed-rows .row", 2)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 2)
}
