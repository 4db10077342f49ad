package proxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// parseForwarded reads the address of one element of Forwarded:
//
//	for="[2001:db8::1]:4711";proto=https
//
// Addresses are also taken without the quotes that they need, and never with backslashes.
//
// Source: RFC 7239, section 4.
func parseForwarded(element string) (addr netip.Addr, ok bool) {
	node, seen := "", false
	for more := true; more; {
		var pair string
		element, pair, more = cutLast(element, ';')
		if pair = trim(pair); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value, ok := unquote(value)
		isFor := strings.EqualFold(name, "for")
		if !ok || strings.IndexByte(name, '"') >= 0 || isFor && seen {
			return netip.Addr{}, false
		}
		if isFor {
			node, seen = value, true
		}
	}
	return parseNode(node)
}

// unquote returns what is between the quotes of a quoted string, or a text without quotes
// as it is. Of any other text with a quote in it, it is false.
func unquote(s string) (string, bool) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return s, strings.IndexByte(s, '"') < 0
}

// cutLast returns what is before and after the last sep that is not in a quoted string;
// more is false if there is none, and then all of s is after it.
//
// It goes from right to left, because at the right stands what trusted proxies have
// written, and a quote left open at the left must not hide that. Seen from the right, an
// escaped quote looks like the begin of its string. What is cut off there has a backslash
// where the value begins, and a quote behind it, which unquote refuses.
func cutLast(s string, sep byte) (before, after string, more bool) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return "", s, false
}

// parseNode reads an IP address with or without a port; IPv6 may be in brackets, and
// must be if there is a port. The address has no zone, and IPv4-mapped ones are IPv4.
//
// Source: RFC 7239, section 6.
func parseNode(s string) (addr netip.Addr, ok bool) {
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		host, port, closed := strings.Cut(inner, "]")
		if !closed || strings.IndexByte(host, ':') < 0 || port != "" && (port[0] != ':' || !isPort(port[1:])) {
			return netip.Addr{}, false
		}
		return parseAddr(host)
	}
	if host, port, found := strings.Cut(s, ":"); found && strings.IndexByte(port, ':') < 0 {
		if !isPort(port) {
			return netip.Addr{}, false
		}
		return parseAddr(host)
	}
	return parseAddr(s)
}

// parseAddr cuts a zone off before anything keeps it.
func parseAddr(s string) (netip.Addr, bool) {
	s, zone, scoped := strings.Cut(s, "%")
	addr, err := netip.ParseAddr(s)
	if err != nil || scoped && (zone == "" || addr.Is4()) {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort reports whether s is a port number, or an obfuscated one such as "_a1".
//
// Source: RFC 7239, section 6.3.
func isPort(s string) bool {
	if hidden, ok := strings.CutPrefix(s, "_"); ok {
		return hidden != "" && strings.Trim(hidden, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
