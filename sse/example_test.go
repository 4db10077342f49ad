package sse_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weirstream/weir/sse"
)

func ExampleAppendEvent() {
	buf, err := sse.AppendEvent(nil, sse.Event{
		Type:  "price",
		ID:    "41",
		Retry: 2 * time.Second,
		Data:  []byte("first line\nsecond line"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(buf)
	// Output:
	// event: price
	// id: 41
	// retry: 2000
	// data: first line
	// data: second line
}

func ExampleAppendEvent_refused() {
	_, err := sse.AppendEvent(nil, sse.Event{ID: "41\ndata: forged"})
	fmt.Println(err)
	// Output: sse: bad field: id "41\ndata: forged": line feed at byte 2
}

func ExampleAppendComment() {
	fmt.Printf("%q\n", sse.AppendComment(nil, "hello"))
	fmt.Printf("%q\n", sse.AppendComment(nil, ""))
	// Output:
	// ": hello\n"
	// ":\n"
}

func ExampleEvent() {
	nothing := sse.Event{ID: "7"} // no data line: moves the reader's resume point only
	empty := sse.Event{ID: "8", Data: []byte{}}
	for _, e := range []sse.Event{nothing, empty} {
		buf, err := sse.AppendEvent(nil, e)
		fmt.Printf("%q %v\n", buf, err)
	}
	// Output:
	// "id: 7\n\n" <nil>
	// "id: 8\ndata: \n\n" <nil>
}

func ExampleJSON() {
	e, err := sse.JSON("point", struct{ X, Y int }{3, 4})
	fmt.Printf("%s %s %v\n", e.Type, e.Data, err)
	// Output: point {"X":3,"Y":4} <nil>
}

func ExampleEncodedLen() {
	e := sse.Text("hello")
	buf := make([]byte, 0, sse.EncodedLen(e))
	buf, err := sse.AppendEvent(buf, e) // does not allocate
	fmt.Println(len(buf), cap(buf), err)
	// Output: 13 13 <nil>
}

func ExampleDecoder() {
	d := sse.Decoder{OnComment: func(text string) { fmt.Printf("comment %q\n", text) }}
	print := func(e sse.Event) error {
		fmt.Printf("event %q id %q data %q\n", e.Type, e.ID, e.Data)
		return nil
	}
	for _, chunk := range []string{": hi\nretry: 50", "0\nid: 1\nda", "ta: one\n\nevent: bye\n", "data: two\n\n"} {
		if err := d.Feed([]byte(chunk), print); err != nil {
			fmt.Println(err)
			return
		}
	}
	wait, _ := d.Retry()
	fmt.Printf("come back after %v with %q\n", wait, d.LastEventID())
	// Output:
	// comment "hi"
	// event "" id "1" data "one"
	// event "bye" id "" data "two"
	// come back after 500ms with "1"
}

func ExampleReader() {
	r := sse.NewReader(strings.NewReader("data: one\n\ndata: two\ndata: lines\n\ndata: cut off"))
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", e.Data)
	}
	// Output:
	// "one"
	// "two\nlines"
}
