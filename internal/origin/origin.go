// Package origin says which web pages a list allows. [Match] compares the header
// Origin of a request with the list, [Check] tells whether a text can be in one.
//
// An entry of a list is
//
//	https://app.example.com    one origin
//	https://*.example.com      every host below example.com, at any depth, but not example.com itself
//	http://localhost:*         every port, also none
//	*                          every page; it is the caller who says what that allows
//
// Entries and headers are taken apart, and compared by scheme, host and port. Case
// does not count, nor does a port that the scheme implies. Whatever cannot be taken
// apart matches nothing: "null", which browsers send for pages that have no origin
// worth a name, user names, paths, a dot at the end of a host.
//
// Sources: RFC 6454 (the web origin concept); WHATWG HTML, "serialization of an
// origin"; WHATWG Fetch, "Origin header".
package origin

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Any is the entry for every page.
const Any = "*"

// longest is more than any origin has: a host has 253 bytes at most.
const longest = 300

// A parts is an origin or a pattern that has been taken apart.
type parts struct {
	scheme string // lower case
	host   string // lower case; a number of IP version 6 in its shortest form, in brackets
	port   uint16 // 0: the scheme implies none that is known, and none is given

	below   bool // a pattern: the host ends in .host
	anyPort bool // a pattern: the port does not count
}

// Check returns an error unless text is an entry for a list.
func Check(text string) error {
	if text == Any {
		return nil
	}
	if len(text) > longest {
		return fmt.Errorf("%.60q… has %d bytes, limit %d", text, len(text), longest)
	}
	p, why := parse(text, true)
	if why == "" && p.below {
		why = tooWide(p.host)
	}
	if why != "" {
		return fmt.Errorf("%q is not an origin: %s", text, why)
	}
	return nil
}

// Match reports whether an entry of list, other than [Any], matches origin, the value
// of the header. Entries that Check refuses match nothing.
func Match(list []string, origin string) bool {
	if len(list) == 0 || len(origin) > longest {
		return false
	}
	asked, why := parse(origin, false)
	if why != "" {
		return false
	}
	for _, entry := range list {
		if p, why := parse(entry, true); why == "" && p.matches(asked) && (!p.below || tooWide(p.host) == "") {
			return true
		}
	}
	return false
}

// matches reports whether a pattern, which may be an origin, matches an origin.
func (p parts) matches(o parts) bool {
	host := o.host == p.host
	if p.below {
		front, ok := strings.CutSuffix(o.host, p.host)
		host = ok && strings.HasSuffix(front, ".")
	}
	return host && o.scheme == p.scheme && (p.anyPort || o.port == p.port)
}

const likeThis = "write scheme, host and port only, as in https://example.com or http://localhost:3000"

// parse takes an origin apart, or with wild a pattern. why is empty, or says what it
// should be.
func parse(text string, wild bool) (p parts, why string) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !isScheme(scheme) || rest == "" {
		return p, likeThis
	}
	if strings.ContainsAny(rest, "/?#@\\ \t") {
		return p, likeThis + ", without a path, a slash at the end or a user name"
	}
	p.scheme = strings.ToLower(scheme)
	host, port, hasPort := cutPort(rest)
	if p.port, why = parsePort(p.scheme, port, hasPort); why != "" && wild && port == "*" {
		p.anyPort, why = true, ""
	}
	if why != "" {
		return p, why
	}
	if wild {
		host, p.below = strings.CutPrefix(host, "*.")
	}
	p.host, why = parseHost(host)
	return p, why
}

// cutPort parts host and port. In a number of IP version 6 colons stand in brackets.
func cutPort(s string) (host, port string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.LastIndexByte(s, ']') > i {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || !isDigit(s[i]) && !strings.Contains("+-.", s[i:i+1])) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func parsePort(scheme, text string, given bool) (port uint16, why string) {
	switch {
	case !given && scheme == "https":
		return 443, ""
	case !given && scheme == "http":
		return 80, ""
	case !given:
		return 0, ""
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Sprintf("the port is %q: want 1 to 65535, or * for every port", text)
	}
	return uint16(n), ""
}

// parseHost checks a host and returns it in the form in which hosts are compared.
func parseHost(host string) (same, why string) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "what is in brackets is no address of IP version 6"
		}
		return "[" + addr.String() + "]", ""
	}
	for label := range strings.SplitSeq(host, ".") {
		switch {
		case label == "":
			return "", "the host has an empty part: it begins or ends with a dot, or has two in a row"
		case strings.Contains(label, "*"):
			return "", "* stands for whole parts at the beginning of the host only, as in https://*.example.com"
		case len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !isHost(r) }):
			return "", "the host has characters other than a-z, 0-9, - and _, or more than 63 in a part; write others as browsers send them, as in https://xn--bcher-kva.example"
		}
	}
	return strings.ToLower(host), ""
}

func isHost(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// tooWide says why "*." may not stand before a host, or nothing. Whoever owns any
// name below a top-level domain would be let in.
func tooWide(host string) string {
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case host[0] == '[' || isDigit(last[0]):
		return "* cannot stand for a part of an IP address"
	case last == host && host != "localhost":
		return "behind *. want two parts at least, as in https://*.example.com"
	}
	return ""
}
