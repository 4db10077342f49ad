package cli

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/weirstream/weir/internal/config"
)

// The manifests in deploy say the same in several places: ports, paths, names, times.
// What they have the program do is done here, up to the server itself.

// A container is what a manifest says of the one that runs weir.
type container struct {
	args    []string
	environ []string          // "NAME=value"
	files   map[string]string // settings files, by their path in the container
	grace   time.Duration     // between SIGTERM and SIGKILL
	volume  string            // directory that outlives it
	secrets []string          // files with secrets
}

// serve gives the container's command to serve and returns the settings it gets.
func (c container) serve(t *testing.T) *config.Settings {
	t.Helper()
	f := new(fake)
	before := newBackend
	defer func() { newBackend = before }()
	newBackend = func(s *config.Settings, log *slog.Logger) (backend, error) {
		f.settings, f.log = s, log
		return f, nil
	}
	args := slices.Clone(c.args)
	for i, arg := range args {
		if text, ok := c.files[arg]; ok {
			args[i] = filepath.Join(t.TempDir(), path.Base(arg))
			if err := os.WriteFile(args[i], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out, said bytes.Buffer
	code := Run(ended(t.Context()), args, Streams{In: strings.NewReader(""), Out: &out, Err: &said, Environ: c.environ})
	if code != 0 || !f.ran || strings.Contains(said.String(), "warning") {
		t.Fatalf("weir %q exits with %d and says %s", args, code, &said)
	}
	return f.settings
}

// check compares the settings with what surrounds the container.
func (c container) check(t *testing.T, set *config.Settings) {
	t.Helper()
	if set.Data != c.volume {
		t.Errorf("messages are in %q, the volume is at %q", set.Data, c.volume)
	}
	if !slices.Equal(c.secrets, []string{set.Access.SecretFile}) {
		t.Errorf("the secret is read from %q, there are %q", set.Access.SecretFile, c.secrets)
	}
	if set.Open || !set.Access.On() {
		t.Error("anybody may do anything")
	}
	if c.grace < set.Drain.Timeout+10*time.Second {
		t.Errorf("killed after %v, and a drain takes up to %v", c.grace, set.Drain.Timeout)
	}
}

// port returns the port of the listener with a handler, which all addresses reach.
func port(t *testing.T, set *config.Settings, handler string) string {
	t.Helper()
	for _, l := range set.Listen {
		host, port, err := net.SplitHostPort(l.Address)
		if l.Handler == handler && err == nil && host == "0.0.0.0" && !l.TLS {
			return port
		}
	}
	t.Fatalf("no listener %q for all addresses in %v", handler, set.Listen)
	return ""
}

// A document is one of a YAML file.
type document struct {
	t    *testing.T
	name string
	text string
}

// documents returns those of a file in deploy.
func documents(t *testing.T, name string) (docs []document) {
	t.Helper()
	for _, text := range strings.Split(deployed(t, name), "\n---\n") {
		docs = append(docs, document{t, name, text})
	}
	return docs
}

// at returns what is at a path such as "$.spec.ports[0].name".
func at[T any](d document, where string) (v T) {
	d.t.Helper()
	p, err := yaml.PathString(where)
	if err == nil {
		err = p.Read(strings.NewReader(d.text), &v)
	}
	if err != nil {
		d.t.Fatalf("%s: %s: %v", d.name, where, err)
	}
	return v
}

// A pair names a thing and says where it is.
type pair struct {
	Name, Source, Target string
	MountPath            string `yaml:"mountPath"`
}

// composed returns the container weir of compose.yaml.
func composed(t *testing.T) (c container, d document) {
	t.Helper()
	d = documents(t, "compose.yaml")[0]
	c = container{args: at[[]string](d, "$.services.weir.command"), files: map[string]string{}}
	for name, value := range at[map[string]string](d, "$.services.weir.environment") {
		c.environ = append(c.environ, name+"="+value)
	}
	for _, name := range at[[]string](d, "$.services.weir.secrets") {
		c.secrets = append(c.secrets, "/run/secrets/"+name)
	}
	for _, use := range at[[]pair](d, "$.services.weir.configs") {
		c.files[use.Target] = at[string](d, "$.configs."+use.Source+".content")
	}
	_, c.volume, _ = strings.Cut(at[string](d, "$.services.weir.volumes[0]"), ":")
	c.grace, _ = time.ParseDuration(at[string](d, "$.services.weir.stop_grace_period"))
	return c, d
}

func TestComposeFileAgreesWithTheProgram(t *testing.T) {
	c, d := composed(t)
	set := c.serve(t)
	c.check(t, set)
	public := port(t, set, "all")
	if got, want := at[[]string](d, "$.services.weir.ports"), "127.0.0.1:8080:"+public; !slices.Equal(got, []string{want}) {
		t.Errorf("it publishes %q, want %q", got, want)
	}
	health := at[[]string](d, "$.services.weir.healthcheck.test")
	if !slices.Equal(health, []string{"CMD", "/weir", "health"}) || !strings.HasSuffix(defaultServer, ":"+public) {
		t.Errorf("health is asked by %q at %s", health, defaultServer)
	}
}

// TestComposeFileHasWhatItNames looks for volumes, configs, secrets and files.
func TestComposeFileHasWhatItNames(t *testing.T) {
	d := documents(t, "compose.yaml")[0]
	volumes := at[map[string]any](d, "$.volumes")
	for name, s := range at[map[string]struct {
		Volumes, Secrets, Profiles []string
		Configs                    []pair
	}](d, "$.services") {
		if (name == "weir") != (len(s.Profiles) == 0) {
			t.Errorf("%s has the profiles %q", name, s.Profiles)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, named := volumes[source]
			if _, err := os.Stat(filepath.Join("../../deploy", source)); !named && err != nil {
				t.Errorf("%s: there is no volume or file %s", name, source)
			}
		}
		for _, use := range s.Configs {
			content := at[string](d, "$.configs."+use.Source+".content")
			if err := yaml.Unmarshal([]byte(content), new(map[string]any)); err != nil {
				t.Errorf("%s: config %s: %v", name, use.Source, err)
			}
		}
		for _, secret := range s.Secrets {
			at[string](d, "$.secrets."+secret+".file")
		}
	}
}

func TestPrometheusAsksTheListenerWithMetrics(t *testing.T) {
	c, _ := composed(t)
	want := "weir:" + port(t, c.serve(t), "admin")
	d := documents(t, "prometheus.yaml")[0]
	if got := at[[]string](d, "$.scrape_configs[0].static_configs[0].targets"); !slices.Equal(got, []string{want}) {
		t.Errorf("it asks %q, want %q", got, want)
	}
}

func TestKubernetesManifestAgreesWithTheProgram(t *testing.T) {
	docs := documents(t, "kubernetes.yaml")
	if len(docs) != 3 {
		t.Fatalf("kubernetes.yaml has %d documents, want a ConfigMap, a Service and a StatefulSet", len(docs))
	}
	settings, service, set := docs[0], docs[1], docs[2]
	const pod, only = "$.spec.template.spec", "$.spec.template.spec.containers[0]"
	mounts := map[string]string{}
	for _, m := range at[[]pair](set, only+".volumeMounts") {
		mounts[m.Name] = m.MountPath
	}
	c := container{
		args:    at[[]string](set, only+".args"),
		files:   map[string]string{mounts["settings"] + "/weir.yaml": at[string](settings, `$.data.'weir.yaml'`)},
		grace:   time.Duration(at[int](set, pod+".terminationGracePeriodSeconds")) * time.Second,
		volume:  mounts[at[string](set, "$.spec.volumeClaimTemplates[0].metadata.name")],
		secrets: []string{mounts["secret"] + "/secret"},
	}
	got := c.serve(t)
	c.check(t, got)
	checkPorts(t, set, only, map[string]string{"http": port(t, got, "all"), "operation": port(t, got, "admin")})
	if scraped := at[string](set, "$.spec.template.metadata.annotations.'prometheus.io/port'"); scraped != port(t, got, "admin") {
		t.Errorf("port %s is scraped", scraped)
	}
	for where, want := range map[string]string{
		pod + ".volumes[0].configMap.name":                         at[string](settings, "$.metadata.name"),
		"$.spec.serviceName":                                       at[string](service, "$.metadata.name"),
		pod + ".enableServiceLinks":                                "false", // WEIR_SERVICE_HOST is no setting
		"$.spec.replicas":                                          "1",     // a log has one process
		"$.spec.selector.matchLabels.'app.kubernetes.io/name'":     at[string](service, "$.spec.selector.'app.kubernetes.io/name'"),
		"$.spec.template.metadata.labels.'app.kubernetes.io/name'": at[string](service, "$.spec.selector.'app.kubernetes.io/name'"),
		only + ".securityContext.readOnlyRootFilesystem":           "true",
		pod + ".securityContext.runAsNonRoot":                      "true",
	} {
		if got := fmt.Sprint(at[any](set, where)); got != want {
			t.Errorf("%s is %s, want %s", where, got, want)
		}
	}
}

// checkPorts compares the ports of a container and of its probes with those by name.
func checkPorts(t *testing.T, set document, only string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, p := range at[[]struct {
		Name string
		Port int `yaml:"containerPort"`
	}](set, only+".ports") {
		got[p.Name] = strconv.Itoa(p.Port)
	}
	if !maps.Equal(got, want) {
		t.Errorf("its ports are %v, want %v", got, want)
	}
	for kind, path := range map[string]string{"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
		ask := at[map[string]string](set, only+"."+kind+".httpGet")
		if ask["path"] != path || want[ask["port"]] == "" {
			t.Errorf("%s asks %v, want %s at one of %v", kind, ask, path, want)
		}
	}
}
