package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// MaxHops is how many addresses of one request [Trusted.Client] looks at.
const MaxHops = 64

const (
	xForwardedFor   = "X-Forwarded-For"
	xForwardedProto = "X-Forwarded-Proto"
	forwarded       = "Forwarded"
)

// Client returns the address of the client that sent r, without a zone, and IPv4 never
// as IPv6. It is that of the peer, unless the peer is trusted. Then it is the rightmost
// address in the header that is not trusted itself, for each proxy appends the one that
// it was called from. If all are trusted, it is the leftmost.
//
// The header is X-Forwarded-For if it is "", or Forwarded, or any other, such as
// X-Real-IP, which must have one line with one address. Lines count as one list, in
// their order. Whatever is not an address, such as the "unknown" and "_hidden" of RFC
// 7239, ends the search, and so does the end of MaxHops elements: the address found last
// is the result then, since what is left of it may be the client's invention.
//
// It is false if no address is known: the peer is that of a unix socket, and is not
// trusted or does not say. The server must be net/http's, or set
// [http.LocalAddrContextKey], for unix sockets to be known as such.
func (t *Trusted) Client(r *http.Request, header string) (addr netip.Addr, ok bool) {
	addr, trusted := t.peer(r)
	switch {
	case !trusted:
	case header == "" || strings.EqualFold(header, xForwardedFor):
		addr = t.search(r.Header[xForwardedFor], addr, parseNode)
	case strings.EqualFold(header, forwarded):
		addr = t.search(r.Header[forwarded], addr, parseForwarded)
	default:
		addr = single(r.Header.Values(header), addr)
	}
	return addr, addr.IsValid()
}

// Secure reports whether the client sent r by https: if the peer is trusted and has set
// X-Forwarded-Proto, that is what counts, and it must say "https" in every element; or
// else r.TLS does.
func (t *Trusted) Secure(r *http.Request) bool {
	lines := r.Header[xForwardedProto]
	if len(lines) > 0 {
		if _, trusted := t.peer(r); trusted {
			return allHTTPS(lines)
		}
	}
	return r.TLS != nil
}

func allHTTPS(lines []string) bool {
	for _, line := range lines {
		for more := true; more; {
			var proto string
			if proto, line, more = strings.Cut(line, ","); !strings.EqualFold(trim(proto), "https") {
				return false
			}
		}
	}
	return true
}

// peer returns the address of the peer, which is not valid for a unix socket.
//
// A unix socket is told by the local address, because the peer of one chooses its own:
// it may be bound to a file called "10.0.0.1:80".
func (t *Trusted) peer(r *http.Request) (addr netip.Addr, trusted bool) {
	if _, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); unix {
		return netip.Addr{}, t.hasUnix()
	}
	addr, _ = parseNode(r.RemoteAddr)
	return addr, t.Has(addr)
}

// search walks from the last element of the last line to the left, as long as it finds
// trusted addresses. peer is the result if there is nothing to find.
func (t *Trusted) search(lines []string, peer netip.Addr, parse func(string) (netip.Addr, bool)) netip.Addr {
	found, hops := peer, 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			if hops++; hops > MaxHops {
				return found
			}
			var element string
			rest, element, more = cutLast(rest, ',')
			addr, ok := parse(trim(element))
			if !ok {
				return found
			}
			if found = addr; !t.Has(addr) {
				return found
			}
		}
	}
	return found
}

// single reads a header that has one address. If it has several lines, it does not show
// which is the proxy's.
func single(lines []string, peer netip.Addr) netip.Addr {
	if len(lines) != 1 {
		return peer
	}
	if addr, ok := parseNode(trim(lines[0])); ok {
		return addr
	}
	return peer
}
