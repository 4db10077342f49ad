package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Handlers are what a listener can serve: everything, the HTTP interface alone,
// the page with what it needs, or only what the server tells about itself.
var Handlers = []string{"all", "api", "page", "admin"}

// A Listener is one address to listen on.
type Listener struct {
	Name    string `json:"name"`    // unique; "main", "main-2", … if the user gave none
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"` // for net.Listen: host:port, or the path of a socket
	Handler string `json:"handler"` // one of Handlers
	TLS     bool   `json:"tls"`
}

// String returns the address as the user writes it.
func (l Listener) String() string {
	switch {
	case l.Network == "unix":
		return "unix:" + l.Address
	case l.TLS:
		return "tls:" + l.Address
	}
	return l.Address
}

// Loopback reports whether only this machine can reach the address. A host name
// other than localhost counts as reachable: it is not looked up.
func (l Listener) Loopback() bool {
	if l.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(l.Address)
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// same reports whether both listeners would claim one address. Port 0 is a free
// port and clashes with nothing.
func (l Listener) same(m Listener) bool {
	return l.Network == m.Network && l.Address == m.Address && !strings.HasSuffix(l.Address, ":0")
}

// parseListener reads "host:port", ":port", "[ip]:port", one of them behind "tls:",
// or "unix:/path".
func parseListener(text string) (Listener, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" || strings.ContainsRune(path, 0) {
			return Listener{}, fmt.Errorf("%q names no socket: write unix:/path/weir.sock", text)
		}
		return Listener{Network: "unix", Address: filepath.Clean(path), Handler: "all"}, nil
	}
	rest, encrypted := strings.CutPrefix(text, "tls:")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not an address: write host:port, [::1]:8080, tls:host:port or unix:/path", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Listener{}, fmt.Errorf("port %q of %q is not a number from 0 to 65535", port, text)
	}
	if strings.ContainsAny(host, "/ \t") {
		return Listener{}, fmt.Errorf("%q is not an address: leave out the scheme and write host:port", text)
	}
	address := net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10))
	return Listener{Network: "tcp", Address: address, Handler: "all", TLS: encrypted}, nil
}

func (t *table) listen(p *[]Listener, name, value, help string) {
	set := func(texts []string) error {
		ls, err := parseListeners(texts)
		if err == nil {
			*p = ls
		}
		return err
	}
	if err := set([]string{value}); err != nil {
		panic(err) // the default in the table is wrong
	}
	t.add(&row{
		Row:  Row{Name: name, Kind: "list", Help: help},
		set:  set,
		node: func(f *file, key string, n ast.Node) []error { return f.listeners(p, key, n) },
		text: func() string { return showListeners(*p) },
		json: func() any { return *p },
	})
}

func parseListeners(texts []string) ([]Listener, error) {
	var ls []Listener
	for _, text := range texts {
		l, err := parseListener(text)
		if err != nil {
			return nil, err
		}
		l.Name = "main"
		if len(ls) > 0 {
			l.Name = fmt.Sprintf("main-%d", len(ls)+1)
		}
		if slices.ContainsFunc(ls, l.same) {
			return nil, fmt.Errorf("%s is given twice", l)
		}
		ls = append(ls, l)
	}
	if ls == nil {
		return nil, errors.New("names no address")
	}
	return ls, nil
}

func showListeners(ls []Listener) string {
	texts := make([]string, len(ls))
	for i, l := range ls {
		texts[i] = l.String()
		if l.Handler != "all" || !strings.HasPrefix(l.Name, "main") {
			texts[i] = fmt.Sprintf("%s=%s (%s)", l.Name, l, l.Handler)
		}
	}
	return strings.Join(texts, ",")
}

// listeners reads a list of addresses, or a mapping from names to listeners.
func (f *file) listeners(p *[]Listener, key string, n ast.Node) []error {
	if _, named := n.(ast.MapNode); !named {
		texts, err := f.list(key, n)
		if err != nil {
			return []error{err}
		}
		ls, bad := parseListeners(texts)
		if bad != nil {
			return []error{f.fault(n, key, "%w", bad)}
		}
		*p = ls
		return nil
	}
	ls, errs := f.namedListeners(key, n)
	if len(errs) == 0 && len(ls) == 0 {
		errs = []error{f.fault(n, key, "names no address")}
	}
	*p = ls
	return errs
}

func (f *file) namedListeners(key string, n ast.Node) (ls []Listener, errs []error) {
	lines := map[string]int{} // of the addresses seen
	pairs, errs := f.pairs(key, n, "the listener name")
	for _, pair := range pairs {
		l, more := f.listener(key+"."+pair.key, pair.value)
		errs = append(errs, more...)
		if len(more) > 0 {
			continue
		}
		l.Name = pair.key
		if i := slices.IndexFunc(ls, l.same); i >= 0 {
			errs = append(errs, f.faultAt(pair.line, key, "listeners %q (line %d) and %q (line %d) have the same address %s",
				ls[i].Name, lines[ls[i].Name], l.Name, pair.line, l))
			continue
		}
		lines[l.Name] = pair.line
		ls = append(ls, l)
	}
	return ls, errs
}

// listener reads {listen: ADDRESS, handler: NAME}.
func (f *file) listener(key string, n ast.Node) (Listener, []error) {
	var address, handler string
	errs := f.fields(key, n, map[string]func(string) error{
		"listen":  func(text string) error { address = text; _, err := parseListener(text); return err },
		"handler": func(text string) (err error) { handler, err = parseChoice(text, Handlers); return err },
	})
	if len(errs) > 0 {
		return Listener{}, errs
	}
	if address == "" {
		return Listener{}, []error{f.fault(n, key, "has no address: add listen: host:port")}
	}
	l, _ := parseListener(address)
	if handler != "" {
		l.Handler = handler
	}
	return l, nil
}
