//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A server is something to compare.
type server struct {
	name, title string
	build       string // directory of its program, from the repository's root; "" if it is installed
	goBench     string // or a benchmark of package hub, which runs on all processors
	args        func(b *bed, addr string) []string
	template    string // of its URLs, after the address; "" takes weir's own
	tls         bool
}

var servers = []server{
	{name: "weir", title: "weir", build: "cmd/weir", args: serveArgs},
	{name: "floor", title: "write loop", build: "bench/peers/floor", args: listenArgs, template: "/{topic}"},
	{name: "nchan", title: "nchan (nginx)", args: nginxArgs, template: "/{topic}"},
	{name: "gosse", title: "tmaxmax/go-sse", build: "bench/peers/gosse", args: listenArgs, template: "/{topic}"},
	{name: "r3labs", title: "r3labs/sse", build: "bench/peers/r3labs", args: listenArgs, template: "/?stream={topic}"},
	{name: "weir-tls", title: "weir's hub, TLS", build: "bench/peers/tls", args: listenArgs, template: "/?topic={topic}", tls: true},
	{name: "procs-1", title: "GOMAXPROCS 1", goBench: "Deliver/subs/bytes/procs=1$"},
	{name: "procs-2", title: "GOMAXPROCS 2", goBench: "Deliver/subs/bytes/procs=2$"},
}

func serverNames() (names []string) {
	for _, s := range servers {
		names = append(names, s.name)
	}
	return names
}

func findServer(name string) *server {
	for i := range servers {
		if servers[i].name == name {
			return &servers[i]
		}
	}
	panic("no server is named " + name)
}

func serveArgs(b *bed, addr string) []string {
	return []string{b.binary("cmd/weir"), "serve", "--quiet", "--listen", addr}
}

func listenArgs(b *bed, addr string) []string { return []string{"", "-listen", addr} }

const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nginxArgs writes the configuration: one worker, history on, everything that
// does not serve the comparison off.
func nginxArgs(b *bed, addr string) []string {
	dir := filepath.Join(b.dir, "nginx")
	_ = os.MkdirAll(filepath.Join(dir, "tmp"), 0o755)
	text := fmt.Sprintf(`load_module %s;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log;
events { worker_connections 19800; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %[2]s/tmp/1; proxy_temp_path %[2]s/tmp/2; fastcgi_temp_path %[2]s/tmp/3; uwsgi_temp_path %[2]s/tmp/4; scgi_temp_path %[2]s/tmp/5;
  nchan_shared_memory_size 512m;
  server {
    listen %[3]s backlog=4096;
    location ~ ^/(.+)$ {
      nchan_publisher http;
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 10m;
      nchan_subscriber_first_message newest;
    }
  }
}
`, nchanModule, dir, addr)
	conf := filepath.Join(dir, "nginx.conf")
	_ = os.WriteFile(conf, []byte(text), 0o644)
	return []string{"nginx", "-c", conf}
}

// A process is a running server.
type process struct {
	*server
	cmd  *exec.Cmd
	addr string
	pid  int // that does the work
}

// start starts s on a free port and waits until it accepts connections.
func (b *bed) start(ctx context.Context, s *server) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	args := s.args(b, addr)
	if args[0] == "" {
		args[0] = b.binary(s.build)
	}
	cmd := exec.Command(args[0], args[1:]...)
	log, err := os.Create(filepath.Join(b.dir, s.name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := startOn(cmd, b.o.serverCPU); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	p := &process{server: s, cmd: cmd, addr: addr, pid: cmd.Process.Pid}
	if err := p.ready(ctx); err != nil {
		p.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start %s: %w: %s", s.name, err, text)
	}
	return p, nil
}

// ready waits for the listener, and finds the worker of nginx.
func (p *process) ready(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	if p.name != "nchan" {
		return nil
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.pid))
	if err != nil {
		return err
	}
	p.pid, err = strconv.Atoi(strings.Fields(string(children) + " ?")[0])
	return err
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// urls returns the flags that tell weir bench where p is.
func (p *process) urls() []string {
	if p.template == "" {
		return []string{"--server", "http://" + p.addr}
	}
	url := "http://" + p.addr + p.template
	if p.tls {
		url = "https://" + p.addr + p.template
	}
	args := []string{"--subscribe-url", url, "--publish-url", url}
	if p.tls {
		args = append(args, "--insecure")
	}
	return args
}

// startOn starts cmd on the given processor: a process inherits it from the
// thread that starts it.
func startOn(cmd *exec.Cmd, cpu int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("use processor %d: %w", cpu, err)
	}
	err := cmd.Start()
	_ = unix.SchedSetaffinity(0, &before)
	return err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
