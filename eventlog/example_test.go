package eventlog_test

import (
	"context"
	"fmt"
	"math"

	"github.com/weirstream/weir/eventlog"
)

// A reader comes back after position 1 and gets what it has missed of its topics.
func ExampleMemory() {
	ctx := context.Background()
	log, err := eventlog.NewMemory(eventlog.Options{
		Rules: []eventlog.Rule{{Pattern: "prices/*", Retention: eventlog.Retention{MaxEntries: 2}}},
	})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	for _, price := range []string{"40", "41", "42", "43"} {
		e := &eventlog.Entry{Message: eventlog.Message{Topics: []string{"prices/gold"}, Data: []byte(price)}}
		if err := log.Append(ctx, e); err != nil {
			panic(err)
		}
	}

	sel, err := eventlog.Select("prices/*")
	if err != nil {
		panic(err)
	}
	page, err := log.Read(ctx, sel, 1, math.MaxUint64, eventlog.Limit{})
	if err != nil {
		panic(err)
	}
	if page.Lost > 0 {
		fmt.Println("lost up to", page.Lost)
	}
	for _, e := range page.Entries {
		fmt.Printf("%d: %s\n", e.Seq, e.Data)
	}
	fmt.Println("go on after", page.Next)
	// Output:
	// lost up to 2
	// 3: 42
	// 4: 43
	// go on after 4
}

func ExampleSelect() {
	sel, err := eventlog.Select("orders/*", "alerts")
	if err != nil {
		panic(err)
	}
	fmt.Println(sel.Patterns(), sel.Match("orders/7"), sel.Match("orders/7/items"))
	_, err = eventlog.Select("orders*")
	fmt.Println(err)
	// Output:
	// [alerts orders/*] true false
	// eventlog: bad topic: pattern "orders*": "*" within a segment at byte 6
}

func ExampleParseID() {
	id := eventlog.FormatID("k3v7qa2m", 1042)
	epoch, seq, ok := eventlog.ParseID(id)
	fmt.Println(id, epoch, seq, ok)
	_, _, ok = eventlog.ParseID("row-1042")
	fmt.Println(ok)
	// Output:
	// k3v7qa2m-1042 k3v7qa2m 1042 true
	// false
}
