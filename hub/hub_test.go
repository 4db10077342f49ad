package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

func TestSubscribersGetPublishedMessagesInOrder(t *testing.T) {
	engine := stream.NewEngine(2)
	h, err := hub.New(hub.Options{Stream: stream.Options{Engine: engine}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	defer srv.Close()
	defer h.Close()
	const readers, messages = 50, 200
	done := make(chan error, readers)
	for range readers {
		resp, err := http.Get(srv.URL + "?topic=orders/*")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer resp.Body.Close()
			r := bufio.NewScanner(resp.Body)
			next := 0
			for next < messages && r.Scan() {
				if data, ok := strings.CutPrefix(r.Text(), "data: "); ok {
					if data != fmt.Sprint(next) {
						done <- fmt.Errorf("got %q, want %d", data, next)
						return
					}
					next++
				}
			}
			done <- nil
		}()
	}
	for i := range messages {
		if _, err := h.Publish(context.Background(), hub.Message{Topics: []string{fmt.Sprintf("orders/%d", i%7)}, Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range readers {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("readers did not finish")
		}
	}
}
