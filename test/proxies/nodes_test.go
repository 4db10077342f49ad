package proxies_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/weirstream/weir/internal/proctest"
)

// A composition is deploy/nodes.yaml: three nodes, a proxy, and what keeps their log.
type composition struct {
	Services map[string]struct{ Command []string }
	Configs  map[string]struct{ Content string }
}

func nodesFile(t *testing.T) (c composition) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(file(t, "../../deploy/nodes.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// up starts all that the file has as processes, with addresses of this machine in place
// of the names.
func (c composition) up(t *testing.T) (nodes []*weir, front string) {
	t.Helper()
	port := proctest.FreePort()
	redis := fmt.Sprint("127.0.0.1:", port)
	args := append(c.Services["redis"].Command, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "")
	args[0] = proctest.Need(t, args[0])
	start(t, nil, args...).AwaitListening(t, patience, port)
	dir := t.TempDir()
	config := c.Configs["proxy"].Content
	for i := range 3 {
		addr := proctest.FreeAddr()
		nodes = append(nodes, c.node(t, addr, redis))
		config = strings.Replace(config, fmt.Sprintf("server weir-%d:8080", i+1), "server "+addr, 1)
	}
	front = proctest.FreeAddr()
	config = strings.Replace(config, "listen 80;", "listen "+front+";", 1)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte("pid "+dir+"/pid;\nuser www-data;\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, proctest.Need(t, "nginx"), "-p", dir, "-e", "stderr", "-c", path, "-g", "daemon off;")
	p.answers(http.DefaultClient, "http://"+front)
	return nodes, "http://" + front
}

// node starts one node with the settings of the file.
func (c composition) node(t *testing.T, addr, redis string) *weir {
	t.Helper()
	settings := c.Configs["weir"].Content
	for from, to := range map[string]string{"0.0.0.0:8080": addr, "redis://redis:6379": "redis://" + redis} {
		if !strings.Contains(settings, from) {
			t.Fatalf("nodes.yaml: the settings have no %s:\n%s", from, settings)
		}
		settings = strings.ReplaceAll(settings, from, to)
	}
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &weir{process: start(t, nil, weirPath, "serve", "--config", path), addr: addr, url: "http://" + addr}
	w.answers(http.DefaultClient, w.url)
	return w
}

// TestNodesBehindAProxy publishes through the proxy while nodes are killed one after the
// other: readers, which the proxy gives to whatever node, get all, in order, each once.
func TestNodesBehindAProxy(t *testing.T) {
	const kills, between = 2, 150 // messages
	c := nodesFile(t)
	nodes, front := c.up(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var readers []*returner
	for i := range 9 {
		b := &returner{route: route{name: fmt.Sprint("reader ", i), url: front, client: &http.Client{Transport: new(http.Transport)}}, path: "/v1/topics/a?since=start"}
		readers = append(readers, b)
		wg.Go(func() { b.follow(ctx) })
	}
	n := 0
	for kill := range kills + 1 {
		for range between {
			n++
			publishSafely(t, front+"/v1/topics/a", fmt.Sprint(n))
		}
		for _, b := range readers {
			b.awaitCount(t, n)
		}
		if kill < kills {
			nodes[kill].Kill()
		}
	}
	cut := 0
	for _, b := range readers {
		b.check(t, n)
		cut += b.cuts
	}
	if cut == 0 {
		t.Error("no reader was cut: was the last node the only one?")
	}
}

// publishSafely publishes until it is accepted, under one idempotency key.
func publishSafely(t *testing.T, url, data string) {
	t.Helper()
	await(t, "publish "+data, func() error {
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(data))
		if err != nil {
			return err
		}
		req.Header.Set("Idempotency-Key", data)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
}
