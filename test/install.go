package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A need is something the tests use that Go does not bring.
type need struct {
	command  string   // looked for in PATH
	packages []string // the Debian packages that bring it
	use      string   // what the tests do with it
}

// needs is the whole list. Any program that a test starts must be on it.
var needs = []need{
	{"gcc", []string{"gcc", "libc6-dev"}, "links the race detector"},
	{"chromium", []string{"chromium"}, "runs the browser tests"},
	{"curl", []string{"curl", "ca-certificates"}, "reads streams as users do"},
	{"node", []string{"nodejs"}, "runs clients and tests from npm"},
	{"npm", []string{"npm"}, "installs clients and tests from npm"},
	{"vmstat", []string{"procps"}, "makes real output to publish"},
	{"systemd-analyze", []string{"systemd"}, "checks the unit"},
	{"nginx", []string{"nginx"}, "stands in front of weir"},
	{"caddy", []string{"caddy"}, "stands in front of weir"},
	{"haproxy", []string{"haproxy"}, "stands in front of weir"},
	{"apache2", []string{"apache2-bin"}, "stands in front of weir"}, // apache2 would start one
	{"rabbitmq-server", []string{"rabbitmq-server"}, "is a queue that feeds weir"},
	{"amqp-publish", []string{"amqp-tools"}, "publishes to that queue"},
	{"redis-server", []string{"redis-server"}, "keeps the log of several nodes, and feeds weir"},
	{"mosquitto", []string{"mosquitto"}, "is a server of MQTT that feeds weir"},
	{"mosquitto_pub", []string{"mosquitto-clients"}, "publishes to that server"},
	{"psql", []string{"postgresql"}, "is a database that feeds weir"},
	{"kcat", []string{"kcat"}, "publishes as users of Kafka do"},
	{"openssl", []string{"openssl"}, "signs webhooks"},
	{"php", []string{"php-cli", "php-curl", "php-redis", "php-amqplib", "php-pgsql"}, "publishes as PHP programs do"},
}

// nodeDir holds package.json with the clients from npm, pinned by its lock file.
const nodeDir = "test/node"

// install brings what is missing and says what. It changes nothing when all is
// there.
func install(ctx context.Context, out io.Writer, verbose bool) error {
	fmt.Fprintln(out, "== install")
	lacking := missing(needs, present)
	for _, n := range lacking {
		fmt.Fprintf(out, "missing: %s (%s)\n", n.command, n.use)
	}
	if err := installDebian(ctx, out, lacking, verbose); err != nil {
		return err
	}
	return installNode(ctx, out, verbose)
}

// missing lists the needs that are not met.
func missing(needs []need, present func(command string) bool) []need {
	var lacking []need
	for _, n := range needs {
		if !present(n.command) {
			lacking = append(lacking, n)
		}
	}
	return lacking
}

func present(command string) bool {
	// Servers are where only root looks.
	for _, candidate := range []string{command, filepath.Join("/usr/sbin", command)} {
		if _, err := exec.LookPath(candidate); err == nil {
			return true
		}
	}
	return false
}

// packagesOf lists the Debian packages of the needs.
func packagesOf(needs []need) []string {
	var packages []string
	for _, n := range needs {
		packages = append(packages, n.packages...)
	}
	return packages
}

func installDebian(ctx context.Context, out io.Writer, lacking []need, verbose bool) error {
	packages := packagesOf(lacking)
	if len(packages) == 0 {
		fmt.Fprintln(out, "programs: all present")
		return nil
	}
	if err := mayInstall(packages, present("apt-get"), os.Geteuid()); err != nil {
		return err
	}
	fmt.Fprintf(out, "installing with apt-get: %s\n", strings.Join(packages, " "))
	if err := quietly(ctx, out, verbose, ".", "apt-get", "update"); err != nil {
		return err
	}
	args := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
	if err := quietly(ctx, out, verbose, ".", args...); err != nil {
		return err
	}
	if still := missing(lacking, present); len(still) > 0 {
		return fmt.Errorf("%s is still not in PATH after apt-get install %s", still[0].command, strings.Join(packages, " "))
	}
	return nil
}

// mayInstall tells, in one line that says what to do, why packages cannot be
// installed. euid is the effective user: only root (0) may.
func mayInstall(packages []string, apt bool, euid int) error {
	list := strings.Join(packages, " ")
	if !apt {
		return fmt.Errorf("cannot install %s: there is no apt-get; install what is missing by hand", list)
	}
	if euid != 0 {
		return fmt.Errorf("cannot install %s: not root; as root run: apt-get install %s", list, list)
	}
	return nil
}

// installNode installs the clients from npm unless what is there is as new as the
// lock file.
func installNode(ctx context.Context, out io.Writer, verbose bool) error {
	if upToDate(filepath.Join(nodeDir, "node_modules", ".package-lock.json"), filepath.Join(nodeDir, "package-lock.json")) {
		fmt.Fprintf(out, "npm packages: all present\n")
		return nil
	}
	fmt.Fprintf(out, "installing with npm: the packages of %s/package-lock.json\n", nodeDir)
	return quietly(ctx, out, verbose, nodeDir, "npm", "ci", "--ignore-scripts")
}

// upToDate reports whether product exists and is not older than source.
func upToDate(product, source string) bool {
	p, errProduct := os.Stat(product)
	s, errSource := os.Stat(source)
	return errProduct == nil && errSource == nil && !p.ModTime().Before(s.ModTime())
}

// quietly runs a command and shows what it printed only if it fails.
func quietly(ctx context.Context, out io.Writer, verbose bool, dir string, args ...string) error {
	var printed bytes.Buffer
	cmd := command(ctx, dir, []string{"DEBIAN_FRONTEND=noninteractive"}, args...)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if verbose {
		cmd.Stdout, cmd.Stderr = out, out
	}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	out.Write(printed.Bytes())
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed", args[0])
	}
	return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
}
