// Command progress runs a command for each client and sends its output line by line, then the event "end" with the outcome.
// Try it: go run ./progress vmstat 1 5, then curl -N localhost:8085
package main

import (
	"bufio"
	"flag"
	"io"
	"net/http"
	"os/exec"
	"time"

	"github.com/weirstream/weir/examples/internal/serve"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

func main() { serve.HTTP("127.0.0.1:8085", stream.SSE(run)) }

func run(c *stream.Conn, r *http.Request) {
	command := flag.Args()
	if len(command) == 0 {
		command = []string{"vmstat", "1", "5"}
	}
	cmd := exec.CommandContext(r.Context(), command[0], command[1:]...) // killed when the client goes
	cmd.WaitDelay = time.Second
	output, w := io.Pipe()
	defer output.Close()
	cmd.Stdout, cmd.Stderr = w, w
	go func() { w.CloseWithError(cmd.Run()) }()

	lines := bufio.NewScanner(output)
	for lines.Scan() {
		c.WaitRoom(r.Context()) // a slow client slows the command down
		c.Send(sse.Text(lines.Text()))
	}
	outcome := "done"
	if err := lines.Err(); err != nil {
		outcome = err.Error()
	}
	c.Send(sse.Event{Type: "end", Data: []byte(outcome)}) // a page closes its EventSource now
	c.End()
}
