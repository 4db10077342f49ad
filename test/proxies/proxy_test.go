package proxies_test

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/proctest"
)

// A kind is one of the proxies.
type kind struct {
	program string
	config  string // the file in deploy

	// args starts the program, in the foreground, with the file config. Other files
	// that it writes are below dir.
	args func(dir, config string) []string

	// places are pairs: a text in the configuration, and what it becomes. In the
	// second {http}, {https} and {weir} are addresses and {dir} is the directory of
	// the test, with the certificate.
	places []string

	// before and after surround the configuration. The same texts are replaced.
	before, after string

	tcp    string // how {weir} is written: {at} is HOST:PORT
	socket string // and if it is a unix socket: {at} is its path

	// blind is the version of HTTP, 0 for none, up to which it learns that a client is
	// gone only when it has something for it.
	blind int

	// http1 is set if it has to do without HTTP/2.
	http1 bool
}

// debian is what Debian's other files have.
//
//go:embed testdata/apache-debian.conf
var debian string

var kinds = map[string]kind{
	"nginx": {
		program: "nginx",
		config:  "nginx.conf",
		args: func(dir, config string) []string {
			return []string{"-p", dir, "-e", "stderr", "-c", config, "-g", "daemon off;"}
		},
		places: []string{
			"listen 80;", "listen {http};",
			"listen 443 ssl", "listen {https} ssl",
			"/etc/ssl/weir", "{dir}/weir",
			"/run/nginx.pid", "{dir}/nginx.pid",
			"/var/log/nginx/access.log", "{dir}/access.log",
			"/var/log/nginx/error.log", "stderr",
			"server 127.0.0.1:8080", "server {weir}",
			// What weir asks for does not count: the file is on trial.
			"proxy_buffering off;", "proxy_buffering off; proxy_ignore_headers X-Accel-Buffering;",
		},
		tcp:    "{at}",
		socket: "unix:{at}",
	},
	"Caddy": {
		program: "caddy",
		config:  "Caddyfile",
		args: func(dir, config string) []string {
			return []string{"run", "--config", config, "--adapter", "caddyfile"}
		},
		places: []string{
			// For a site without a port Caddy listens on two, and gets itself a
			// certificate.
			"weir.example.com {", "(site) {",
			"127.0.0.1:8080", "{weir}",
		},
		before: "{\n\tadmin off\n\tauto_https disable_redirects\n}\n",
		after: "http://{http} {\n\timport site\n}\n" +
			"https://{https} {\n\timport site\n\ttls {dir}/weir.crt {dir}/weir.key\n}\n",
		tcp:    "{at}",
		socket: "unix/{at}",
	},
	"HAProxy": {
		program: "haproxy",
		config:  "haproxy.cfg",
		args:    func(dir, config string) []string { return []string{"-db", "-f", config} },
		places: []string{
			"bind :80\n", "bind {http}\n",
			"bind :443", "bind {https}",
			"/etc/haproxy/weir.pem", "{dir}/weir.pem",
			"/dev/log", "{dir}/log",
			"server weir 127.0.0.1:8080", "server weir {weir}",
		},
		tcp:    "{at}",
		socket: "unix@{at}",
		blind:  1,
	},
	"Apache": {
		program: "apache2",
		config:  "apache.conf",
		args: func(dir, config string) []string {
			return []string{"-D", "FOREGROUND", "-d", dir, "-f", config}
		},
		places: []string{
			"*:80", "{http}",
			"*:443", "{https}",
			"/etc/ssl/weir", "{dir}/weir",
			"http://127.0.0.1:8080", "{weir}",
		},
		before: debian,
		tcp:    "http://{at}",
		socket: "unix:{at}|http://weir",
		blind:  1,
		http1:  true,
	},
}

func TestDocumentShowsTheFiles(t *testing.T) {
	document := file(t, "../../docs/proxies.md")
	for name, k := range kinds {
		if !strings.Contains(document, "\n"+file(t, "../../deploy/"+k.config)+"```\n") {
			t.Errorf("docs/proxies.md does not show deploy/%s, of %s, as it is", k.config, name)
		}
	}
}

// A proxy is a running one, in front of a server.
type proxy struct {
	process
	kind
	plain  string // http://127.0.0.1:PORT
	secure string // https://127.0.0.1:PORT
	dir    string
	file   string // the configuration
}

// eachKind runs a test for each kind of proxy.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Parallel()
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// inFront starts a proxy in front of the server with address upstream, a HOST:PORT or
// the path of a socket, and waits until it lets requests through. More replacements
// than those of k.places may be given.
func (k kind) inFront(t *testing.T, upstream string, more ...string) *proxy {
	t.Helper()
	p := &proxy{kind: k, dir: directory(t)}
	plain, secure := proctest.FreeAddr(), proctest.FreeAddr()
	p.plain, p.secure = "http://"+plain, "https://"+secure
	writeCertificate(t, p.dir)
	form := k.tcp
	if filepath.IsAbs(upstream) {
		form = k.socket
	}
	values := strings.NewReplacer("{http}", plain, "{https}", secure, "{dir}", p.dir, "{weir}", strings.ReplaceAll(form, "{at}", upstream))
	text := file(t, "../../deploy/"+k.config)
	for pair := range slices.Chunk(slices.Concat(more, k.places), 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("deploy/%s does not hold %q any more", k.config, pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], values.Replace(pair[1]))
	}
	p.file = filepath.Join(p.dir, k.config)
	writeFile(t, p.file, values.Replace(k.before)+text+values.Replace(k.after))
	p.begin(t)
	return p
}

// begin starts the program.
func (p *proxy) begin(t *testing.T) {
	t.Helper()
	args := append([]string{proctest.Need(t, p.program)}, p.args(p.dir, p.file)...)
	p.process = start(t, []string{"XDG_DATA_HOME=" + p.dir, "XDG_CONFIG_HOME=" + p.dir}, args...)
	for _, r := range p.routes(t) {
		p.answers(r.client, r.url)
	}
}

// directory makes a directory that the proxies' own users may enter.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-proxy")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate makes a certificate for 127.0.0.1 that signs itself: weir.crt,
// weir.key, and both in weir.pem.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	pair := certtest.SelfSigned("127.0.0.1")
	crt, key := string(pair.Cert), string(pair.Key)
	writeFile(t, filepath.Join(dir, "weir.crt"), crt)
	writeFile(t, filepath.Join(dir, "weir.key"), key)
	writeFile(t, filepath.Join(dir, "weir.pem"), crt+key)
}

// A route is a way to the server through a proxy.
type route struct {
	name   string
	url    string
	client *http.Client
	proto  int // major version of HTTP
}

// routes returns the two ways: HTTP/1.1 without TLS, and HTTP/2, if the proxy has it,
// with TLS. The client says nothing of compression by itself.
func (p *proxy) routes(t *testing.T) []route {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(file(t, filepath.Join(p.dir, "weir.crt"))))
	transport := &http.Transport{
		DisableCompression:    true,
		ResponseHeaderTimeout: patience,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: pool},
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if p.http1 {
		return []route{{"HTTP", p.plain, client, 1}, {"HTTPS", p.secure, client, 1}}
	}
	return []route{{"HTTP", p.plain, client, 1}, {"HTTPS", p.secure, client, 2}}
}

// eachRoute runs a test over both ways through a proxy.
func (p *proxy) eachRoute(t *testing.T, test func(t *testing.T, r route)) {
	t.Helper()
	for _, r := range p.routes(t) {
		t.Run(r.name, func(t *testing.T) { test(t, r) })
	}
}
