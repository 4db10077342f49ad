//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// describe says what was measured where, as Markdown.
func describe(ctx context.Context, o options, b *bed) string {
	rows := [][2]string{
		{"Command", "`cd bench && go run ." + flagText(o) + "`"},
		{"Commit", commit(ctx)},
		{"Date", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"Machine", machine()},
		{"Placement", fmt.Sprintf("server on processor %d, load on processor %d, loopback, HTTP/1.1", o.serverCPU, o.loadCPU)},
		{"Rounds", fmt.Sprintf("%d, interleaved; medians, with least and most in parentheses; ratios are of medians within this run", o.rounds)},
		{"Servers", versions(ctx, o.servers, b.missing)},
		{"Messages", "128 bytes of data; default settings; history in memory, except for the write loop"},
	}
	var text strings.Builder
	text.WriteString("| | |\n|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&text, "| %s | %s |\n", row[0], row[1])
	}
	return text.String()
}

func flagText(o options) (text string) {
	if o.quick {
		text += " -quick"
	}
	if len(o.only) < len(measurementNames()) {
		text += " -only " + strings.Join(o.only, ",")
	}
	if len(o.servers) < len(servers) {
		text += " -servers " + strings.Join(o.servers, ",")
	}
	if !o.quick && o.rounds != 3 {
		text += fmt.Sprintf(" -rounds %d", o.rounds)
	}
	return text
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	text := strings.TrimSpace(string(out))
	if changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no", "..").Output(); err != nil || len(changes) > 0 {
		text += ", with changes"
	}
	return text
}

func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	text := fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), unix.ByteSliceToString(u.Release[:]), runtime.Version())
	if mem := field("/proc/meminfo", "MemTotal"); mem != "" {
		text += ", memory " + mem
	}
	return text
}

// field returns what follows "name :" in a file.
func field(file, name string) string {
	text, _ := os.ReadFile(file)
	if m := regexp.MustCompile(`(?m)^` + name + `\s*:\s*(.+)$`).FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// versions lists those of the peers.
func versions(ctx context.Context, names, missing []string) string {
	var list []string
	for _, name := range names {
		text := findServer(name).title
		switch name {
		case "gosse":
			text += " " + moduleVersion(ctx, "github.com/tmaxmax/go-sse")
		case "r3labs":
			text += " " + moduleVersion(ctx, "github.com/r3labs/sse/v2")
		case "nchan":
			text += " " + packageVersions(ctx)
		}
		list = append(list, text)
	}
	text := strings.Join(list, "; ")
	if len(missing) > 0 {
		text += "; not installed: " + strings.Join(missing, ", ")
	}
	return text
}

func moduleVersion(ctx context.Context, module string) string {
	out, _ := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module).Output()
	return strings.TrimSpace(string(out))
}

// packageVersions asks Debian's package manager, if there is one.
func packageVersions(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Package} ${Version}, ", "nginx-light", "libnginx-mod-nchan").Output()
	return strings.TrimSuffix(strings.TrimSpace(string(out)), ",")
}
