// Package proxy tells who the client is when proxies stand in front.
//
// [ParseTrusted] reads which peers are proxies to believe. [Trusted.Client] then finds
// the client of a request in the headers that such a proxy adds, and [Trusted.Secure]
// whether it came by https. A [Listener] reads the PROXY protocol, with which a proxy
// names the client at the begin of a connection.
//
// What a peer that is not trusted says of its address is never used. A proxy that is
// trusted must append to the header what it knows, or replace it; one that passes on
// what a client has sent lets clients choose their address.
//
// All of it may be used at once.
//
// Source: RFC 7239 (Forwarded); HAProxy's proxy-protocol.txt of 2026-04-27,
// cited as "PROXY protocol".
package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// MaxTrusted is how many entries [ParseTrusted] takes.
const MaxTrusted = 1000

// Trusted is a set of peers to believe. Nil and the zero value are empty. It does not
// change, and its methods do not allocate for a peer that is not in it.
type Trusted struct {
	spans []span // sorted; they do not overlap
	unix  bool
}

// A span is the addresses from first to last, of one family.
type span struct{ first, last netip.Addr }

// words are the entries that stand for well-known prefixes.
//
// Source: RFC 1122, section 3.2.1.3; RFC 4291, sections 2.5.3 and 2.5.6; RFC 1918;
// RFC 4193; RFC 3927.
var words = map[string][]netip.Prefix{
	"loopback": prefixes("127.0.0.0/8", "::1/128"),
	"private":  prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16", "fe80::/10"),
}

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

// ParseTrusted reads up to [MaxTrusted] entries: IP addresses, prefixes such as
// "10.0.0.0/8", and the words "loopback", "private" (RFC 1918, RFC 4193 and link-local
// addresses, without loopback) and "unix" (whoever may connect to a unix socket).
// Prefixes of IPv4 do not hold IPv6 addresses, nor the other way round; IPv4-mapped
// addresses count as IPv4. Errors name the entry.
func ParseTrusted(texts []string) (*Trusted, error) {
	if len(texts) > MaxTrusted {
		return nil, fmt.Errorf("%d trusted proxies, limit %d", len(texts), MaxTrusted)
	}
	t := new(Trusted)
	for _, text := range texts {
		if text == "unix" {
			t.unix = true
			continue
		}
		ps, err := parsePrefixes(text)
		if err != nil {
			return nil, fmt.Errorf("trusted proxy %q: %w", text, err)
		}
		for _, p := range ps {
			t.spans = append(t.spans, spanOf(p))
		}
	}
	t.spans = merge(t.spans)
	return t, nil
}

func parsePrefixes(text string) ([]netip.Prefix, error) {
	if ps, ok := words[text]; ok {
		return ps, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return nil, errors.New("want an address without a zone")
		}
		addr = addr.Unmap()
		return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, errors.New(`want an IP address, a prefix such as "10.0.0.0/8", or one of the words "loopback", "private" and "unix"`)
	}
	if p != p.Masked() {
		return nil, fmt.Errorf("%s has bits behind the prefix: want %s for the network, or %s for the address", p, p.Masked(), p.Addr())
	}
	if addr := p.Addr(); addr.Is4In6() { // so it has 96 bits at the least, or it would not be masked
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	return []netip.Prefix{p}, nil
}

func spanOf(p netip.Prefix) span {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(last) // it has the length of an address
	return span{p.Addr(), addr}
}

// merge sorts spans and joins those that overlap, in place. IPv4 sorts before IPv6, so
// no span ever holds both.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	merged := spans[:0]
	for _, s := range spans {
		n := len(merged)
		switch {
		case n == 0 || merged[n-1].last.Less(s.first):
			merged = append(merged, s)
		case merged[n-1].last.Less(s.last):
			merged[n-1].last = s.last
		}
	}
	return merged
}

// Has reports whether a peer with this address is trusted. A zone does not matter.
func (t *Trusted) Has(addr netip.Addr) bool {
	if t == nil || len(t.spans) == 0 || !addr.IsValid() {
		return false
	}
	addr = addr.Unmap().WithZone("")
	i, found := slices.BinarySearchFunc(t.spans, addr, func(s span, a netip.Addr) int { return s.first.Compare(a) })
	return found || i > 0 && !t.spans[i-1].last.Less(addr)
}

// hasUnix reports whether the peers of unix sockets are trusted.
func (t *Trusted) hasUnix() bool { return t != nil && t.unix }

// hasPeer reports whether the peer of a connection is trusted.
func (t *Trusted) hasPeer(nc net.Conn) bool {
	switch addr := nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		return t.Has(addr.AddrPort().Addr())
	case *net.UnixAddr:
		return t.hasUnix()
	}
	return false
}

// trim removes the white space that RFC 9110, section 5.6.3, allows around elements.
func trim(s string) string { return strings.Trim(s, " \t") }
