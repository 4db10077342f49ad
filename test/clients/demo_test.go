package clients_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

func TestTimeDemoTicks(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	page.click("#time-start")
	lines := page.awaitTexts("#time-lines li", 2)
	for i, line := range lines {
		if want := fmt.Sprintf(`^Server time: \d\d:\d\d:\d\d, Counter: %d$`, i+1); !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("line %d is %q, want %s", i+1, line, want)
		}
	}
	page.click("#time-drop")
	page.awaitText("#time-drop", is("Come back now"))
	page.click("#time-drop")
	page.awaitText("#time-lines", func(text string) bool { return strings.Contains(text, "Connection 2Server time") })
	page.click("#time-start")
	page.awaitText("#time-start", is("Start"))
	page.checkConsole()
}

func TestChunkDemoPaintsPiecesAsTheyArrive(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	page.click("#chunks-start")
	at := page.awaitTexts("#chunks-lines li time", 4) // the first line says how many will come
	for i, text := range at {
		seconds, err := strconv.ParseFloat(strings.Trim(text, "+ s"), 64)
		if want := 2 * float64(i); err != nil || seconds < want-0.5 {
			t.Errorf("line %d came at %q, want about %v s", i+1, text, want)
		}
	}
	if got := page.texts("#chunks-note"); len(at) == 11 || got[0] != "" {
		t.Errorf("there are %d lines and the note %q, want that the answer goes on", len(at), got)
	}
	page.click("#chunks-start")
	page.awaitText("#chunks-note", is("Stopped."))
	page.checkConsole()
}

func TestChunkDemoIsPaintedAsAPage(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	opened := chromedp.WaitNewTarget(page.ctx, func(info *target.Info) bool { return strings.HasSuffix(info.URL, "/demo/chunks") })
	page.click(`a[href="demo/chunks"]`)
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(page.ctx, chromedp.WithTargetID(id))
		t.Cleanup(cancel)
		page = &tab{t: t, ctx: ctx}
	case <-time.After(patience):
		t.Fatal("the link opens no window")
	}
	await(t, "the first pieces", func() error {
		got := eval[[]string](page, `() => [document.body?.innerText ?? "", document.readyState]`)
		if !strings.HasPrefix(got[0], "weir: 10 pieces\nPiece 1 of 10") || got[1] != "loading" {
			return fmt.Errorf("the window shows %q", got)
		}
		return nil
	})
}

func TestHistoryDemoShowsALateReaderEverything(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	for n := 1; n <= 3; n++ {
		page.click("#history-publish")
		page.awaitTexts("#history-early-lines li", n)
	}
	page.click("#history-late")
	late := page.awaitTexts("#history-late-lines li", 3)
	if early := page.texts("#history-early-lines li"); !slices.Equal(early, late) {
		t.Errorf("the first reader has %q, the late one %q", early, late)
	}
	page.click("#history-forget")
	page.awaitText("#history-note", is("The topic is empty again."))
	page.checkConsole()
}

func TestMachineChartsMove(t *testing.T) {
	t.Parallel()
	s := serve(t)
	page := open(t, s.url+"/")
	for i := range 20 { // something for the rates to show
		s.publish("a", strconv.Itoa(i), "")
	}
	number := regexp.MustCompile(`\d`)
	for _, selector := range []string{"#chart-cpu .chart-now", "#chart-memory .chart-now", "#chart-requests .chart-now", "#chart-errors .chart-now", "#n-rss", "#n-connections"} {
		page.awaitText(selector, number.MatchString)
	}
	page.awaitText("#chart-requests .chart-range", func(text string) bool {
		return regexp.MustCompile(`max [1-9]`).MatchString(text)
	})
	// A line is drawn: the canvas is not of one colour.
	colours := eval[int](page, `() => {
		const canvas = document.querySelector("#chart-cpu canvas");
		const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
		return new Set(new Uint32Array(data.buffer)).size;
	}`)
	if colours < 3 {
		t.Errorf("the chart has %d colours, want lines on a ground", colours)
	}
	page.checkConsole()
}
