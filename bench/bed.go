//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A bed is what servers and load run on: their programs, and a directory for
// their files.
type bed struct {
	o       options
	dir     string
	missing []string // servers that cannot run here
}

// A sample is the metrics of one run of weir bench.
type sample map[string]float64

// A table is what a measurement has given.
type table struct {
	*measurement
	samples map[string][]sample // by server
	errors  map[string]error
	command string // the last one, for weir if it took part
}

func newBed(ctx context.Context, o options) (*bed, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	b := &bed{o: o, dir: dir}
	if _, err := os.Stat(nchanModule); err != nil || !installed("nginx") {
		b.missing = append(b.missing, "nchan")
	}
	if err := b.buildAll(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func (b *bed) close() { _ = os.RemoveAll(b.dir) }

func (b *bed) binary(build string) string { return filepath.Join(b.dir, filepath.Base(build)) }

// buildAll builds weir, which is also the load, and the peers.
func (b *bed) buildAll(ctx context.Context) error {
	done := []string{""}
	for _, build := range append([]string{"cmd/weir"}, builds(b.o.servers)...) {
		if slices.Contains(done, build) {
			continue
		}
		done = append(done, build)
		cmd := exec.CommandContext(ctx, "go", "build", "-o", b.binary(build), "./"+filepath.Base(build))
		cmd.Dir = filepath.Join("..", filepath.Dir(build))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", build, err, out)
		}
	}
	return nil
}

func builds(names []string) (list []string) {
	for _, name := range names {
		list = append(list, findServer(name).build)
	}
	return list
}

// measureAll carries out what the flags ask for, and says on standard error how
// far it is.
func (b *bed) measureAll(ctx context.Context) (tables []*table, err error) {
	for i := range measurements {
		m := &measurements[i]
		if name, _, _ := strings.Cut(m.name, "-"); !slices.Contains(b.o.only, name) {
			continue
		}
		t := &table{measurement: m, samples: make(map[string][]sample), errors: make(map[string]error)}
		if err = b.measure(ctx, t); err != nil {
			return tables, err
		}
		if len(t.samples) > 0 {
			tables = append(tables, t)
		}
	}
	return tables, nil
}

// measure runs the rounds of one measurement: A B C, A B C, and so on. A server
// that fails is left out of the rest, and the results say why.
func (b *bed) measure(ctx context.Context, t *table) error {
	for round := range b.o.rounds {
		for _, name := range t.servers {
			if !slices.Contains(b.o.servers, name) || slices.Contains(b.missing, name) || t.errors[name] != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", t.name, round+1, b.o.rounds, name)
			s, err := b.sample(ctx, t, findServer(name))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "  %v\n", err)
				t.errors[name] = err
				continue
			}
			t.samples[name] = append(t.samples[name], s)
		}
	}
	return nil
}

func (b *bed) sample(ctx context.Context, t *table, s *server) (sample, error) {
	if s.goBench != "" {
		return b.runGoBench(ctx, t, s)
	}
	return b.runOnce(ctx, t, s)
}

// runGoBench runs a benchmark of package hub. Its operation is a delivery.
func (b *bed) runGoBench(ctx context.Context, t *table, s *server) (sample, error) {
	args := append([]string{"test", "-run", "^$", "-bench", s.goBench}, t.args(s.name, b.o.quick)...)
	t.command = "go test -run xxx -bench Deliver " + strings.Join(t.args(s.name, b.o.quick), " ") + " ./hub"
	cmd := exec.CommandContext(ctx, "go", append(args, "./hub")...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	fields := strings.Fields(string(out))
	i := slices.Index(fields, "ns/op")
	if i < 1 {
		return nil, fmt.Errorf("no result in %q", out)
	}
	ns, err := strconv.ParseFloat(fields[i-1], 64)
	return sample{"rate": 1e9 / ns}, err
}

// runOnce starts the server, puts the load on it, and stops it.
func (b *bed) runOnce(ctx context.Context, t *table, s *server) (sample, error) {
	p, err := b.start(ctx, s)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	args := append([]string{"bench"}, t.args(s.name, b.o.quick)...)
	if s.name == "weir" || t.command == "" {
		t.command = "weir " + strings.Join(args, " ")
	}
	args = append(append(args, "--json", "--quiet", "--pid", strconv.Itoa(p.pid), "--patience", "20s"), p.urls()...)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	return b.load(ctx, args)
}

// load runs weir bench on the load's processor.
func (b *bed) load(ctx context.Context, args []string) (sample, error) {
	cmd := exec.CommandContext(ctx, b.binary("cmd/weir"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := startOn(cmd, b.o.loadCPU); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	if b.o.verbose {
		fmt.Fprintf(os.Stderr, "  weir %s\n  %s", strings.Join(args, " "), out.String())
	}
	if err != nil {
		return nil, errors.New(strings.TrimSpace(err.Error() + " " + errs.String()))
	}
	return decode(out.Bytes())
}

// decode takes the numbers out of a result.
func decode(text []byte) (sample, error) {
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("result of weir bench: %w", err)
	}
	s := make(sample)
	for name, v := range all {
		if n, ok := v.(float64); ok {
			s[name] = n
		}
	}
	return s, nil
}
