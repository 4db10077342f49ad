package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/proxy"
)

// request returns what net/http makes of a request from peer. Lines of the header may be
// of any name.
func request(peer, header string, lines ...string) *http.Request {
	r := &http.Request{Header: http.Header{}, RemoteAddr: peer}
	for _, line := range lines {
		r.Header.Add(header, line)
	}
	return r
}

// atUnix makes it a request over a unix socket.
func atUnix(r *http.Request) *http.Request {
	local := &net.UnixAddr{Name: "/run/weir.sock", Net: "unix"}
	return r.WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, local))
}

const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded"
	realIP       = "X-Real-IP"
)

// front is the proxy that stands in front in most tests: the peer.
const front = "10.0.0.1:4711"

func TestClientIsFoundBehindTrustedProxies(t *testing.T) {
	list := func(lines ...string) []string { return lines }
	for _, c := range []struct {
		name, peer, header string
		lines              []string
		want               string
	}{
		{"no header", front, forwardedFor, nil, "10.0.0.1"},
		{"one", front, forwardedFor, list("192.0.2.1"), "192.0.2.1"},
		{"default header", front, "", list("192.0.2.1"), "10.0.0.1"}, // it is set under its own name below
		{"any case of the header", front, "x-forwarded-FOR", list("192.0.2.1"), "192.0.2.1"},
		{"the rightmost counts", front, forwardedFor, list("203.0.113.9, 192.0.2.1"), "192.0.2.1"},
		{"trusted ones are passed", front, forwardedFor, list("203.0.113.9, 192.0.2.1, 10.9.9.9,10.8.8.8"), "192.0.2.1"},
		{"all are trusted", front, forwardedFor, list("10.7.7.7, 10.8.8.8"), "10.7.7.7"},
		{"lines are one list", front, forwardedFor, list("203.0.113.9", "192.0.2.1", "10.8.8.8"), "192.0.2.1"},
		{"white space", front, forwardedFor, list("203.0.113.9 ,\t 192.0.2.1\t, 10.8.8.8 "), "192.0.2.1"},
		{"port", front, forwardedFor, list("192.0.2.1:1234"), "192.0.2.1"},
		{"IPv6", front, forwardedFor, list("2001:db8::1"), "2001:db8::1"},
		{"IPv6 in brackets", front, forwardedFor, list("[2001:db8::1]"), "2001:db8::1"},
		{"IPv6 with port", front, forwardedFor, list("[2001:db8::1]:1234"), "2001:db8::1"},
		{"zone", front, forwardedFor, list("fe81::1%eth0"), "fe81::1"},
		{"zone in brackets", front, forwardedFor, list("[fe81::1%25eth0]:1"), "fe81::1"},
		{"IPv4-mapped", front, forwardedFor, list("::ffff:192.0.2.1"), "192.0.2.1"},
		{"IPv4-mapped and trusted", front, forwardedFor, list("192.0.2.1, [::ffff:10.0.0.9]:80"), "192.0.2.1"},
		{"peer is IPv4-mapped", "[::ffff:10.0.0.1]:80", forwardedFor, list("192.0.2.1"), "192.0.2.1"},
		{"peer is link-local", "[fe80::1%eth0]:80", forwardedFor, list("192.0.2.1"), "192.0.2.1"},

		{"Forwarded", front, forwarded, list("for=192.0.2.1"), "192.0.2.1"},
		{"Forwarded in any case", front, "forwarded", list("FOR=192.0.2.1"), "192.0.2.1"},
		{"Forwarded with all", front, forwarded, list(`by=10.0.0.1; for="192.0.2.1:80" ;proto=https;host="a.example:443"`), "192.0.2.1"},
		{"Forwarded IPv6", front, forwarded, list(`for="[2001:db8:cafe::17]:4711"`), "2001:db8:cafe::17"},
		{"Forwarded IPv6 without port", front, forwarded, list(`For="[2001:db8:cafe::17]"`), "2001:db8:cafe::17"},
		{"Forwarded without the quotes", front, forwarded, list(`for=[2001:db8::1]:80;proto=http`), "2001:db8::1"},
		{"Forwarded list", front, forwarded, list("for=203.0.113.9, for=192.0.2.43, for=10.1.1.1"), "192.0.2.43"},
		{"Forwarded lines", front, forwarded, list("for=203.0.113.9, for=192.0.2.43", "for=10.1.1.1"), "192.0.2.43"},
		{"Forwarded, comma and semicolon in quotes", front, forwarded, list(`for=192.0.2.1;host="a,;for=1.1.1.1;b"`), "192.0.2.1"},
		{"Forwarded, hidden port", front, forwarded, list(`for="192.0.2.1:_p.-_1"`), "192.0.2.1"},
		{"Forwarded, empty pairs", front, forwarded, list(`;for=192.0.2.1;;`), "192.0.2.1"},

		{"X-Real-IP", front, realIP, list("192.0.2.1"), "192.0.2.1"},
		{"X-Real-IP is trusted itself", front, realIP, list("10.2.2.2"), "10.2.2.2"},
		{"X-Real-IP with port", front, realIP, list(" [2001:db8::1]:80 "), "2001:db8::1"},
		{"X-Real-IP missing", front, realIP, nil, "10.0.0.1"},
	} {
		r := request(c.peer, c.header, c.lines...)
		if got, ok := trusted(t, "private").Client(r, c.header); got.String() != c.want || !ok {
			t.Errorf("%s: Client(%s, %v) = %v, %v, want %s", c.name, c.peer, r.Header, got, ok, c.want)
		}
	}
	r := request(front, forwardedFor, "192.0.2.1")
	if got, _ := trusted(t, "private").Client(r, ""); got.String() != "192.0.2.1" {
		t.Errorf("Client without the name of a header = %v, want that of X-Forwarded-For", got)
	}
}

// TestNobodyChoosesItsAddress has the client send what it likes; 6.6.6.6 is never right.
func TestNobodyChoosesItsAddress(t *testing.T) {
	const stranger = "203.0.113.7:80"
	list := func(lines ...string) []string { return lines }
	for _, c := range []struct {
		name, peer, header string
		lines              []string
		want               string
	}{
		{"from a stranger", stranger, forwardedFor, list("6.6.6.6"), "203.0.113.7"},
		{"from a stranger, Forwarded", stranger, forwarded, list("for=6.6.6.6"), "203.0.113.7"},
		{"from a stranger, X-Real-IP", stranger, realIP, list("6.6.6.6"), "203.0.113.7"},
		{"a stranger as a proxy", stranger, forwardedFor, list("6.6.6.6, 10.0.0.1"), "203.0.113.7"},
		{"prepended", front, forwardedFor, list("6.6.6.6, 203.0.113.7"), "203.0.113.7"},
		{"prepended, with a proxy of its own", front, forwardedFor, list("6.6.6.6, 10.0.0.1, 203.0.113.7"), "203.0.113.7"},
		{"in a line of its own", front, forwardedFor, list("6.6.6.6", "203.0.113.7"), "203.0.113.7"},
		{"in another header", front, forwardedFor, nil, "10.0.0.1"},

		{"behind garbage", front, forwardedFor, list("6.6.6.6, garbage, 10.1.1.1"), "10.1.1.1"},
		{"behind nothing", front, forwardedFor, list("6.6.6.6, , 10.1.1.1"), "10.1.1.1"},
		{"behind an empty line", front, forwardedFor, list("6.6.6.6", "", "10.1.1.1"), "10.1.1.1"},
		{"behind a comma at the end", front, forwardedFor, list("6.6.6.6,"), "10.0.0.1"},
		{"behind unknown", front, forwardedFor, list("6.6.6.6, unknown"), "10.0.0.1"},
		{"behind a unix socket", front, forwardedFor, list("6.6.6.6, unix:"), "10.0.0.1"},
		{"two in one element", front, forwardedFor, list("6.6.6.6 10.1.1.1"), "10.0.0.1"},
		{"a separator of another kind", front, forwardedFor, list("6.6.6.6; 10.1.1.1"), "10.0.0.1"},
		{"a port that is none", front, forwardedFor, list("6.6.6.6:x"), "10.0.0.1"},
		{"a port too large", front, forwardedFor, list("6.6.6.6:65536"), "10.0.0.1"},
		{"an empty port", front, forwardedFor, list("6.6.6.6:"), "10.0.0.1"},
		{"a signed port", front, forwardedFor, list("6.6.6.6:+80"), "10.0.0.1"},
		{"an empty hidden port", front, forwardedFor, list("6.6.6.6:_"), "10.0.0.1"},
		{"a hidden port with other signs", front, forwardedFor, list("6.6.6.6:_a b"), "10.0.0.1"},
		{"IPv4 in brackets", front, forwardedFor, list("[6.6.6.6]"), "10.0.0.1"},
		{"a bracket left open", front, forwardedFor, list("[2001:db8::666"), "10.0.0.1"},
		{"text behind a bracket", front, forwardedFor, list("[2001:db8::666]80"), "10.0.0.1"},
		{"IPv4 with zone", front, forwardedFor, list("6.6.6.6%eth0"), "10.0.0.1"},
		{"an empty zone", front, forwardedFor, list("2001:db8::666%"), "10.0.0.1"},
		{"leading zeros", front, forwardedFor, list("6.6.6.06"), "10.0.0.1"},
		{"a number", front, forwardedFor, list("101058054"), "10.0.0.1"},
		{"three numbers", front, forwardedFor, list("6.6.1542"), "10.0.0.1"},
		{"quoted", front, forwardedFor, list(`"6.6.6.6"`), "10.0.0.1"},
		{"a quote left open", front, forwardedFor, list(`", 203.0.113.7`), "203.0.113.7"},
		{"control characters", front, forwardedFor, list("6.6.6.6\v"), "10.0.0.1"},

		{"Forwarded: a quote left open", front, forwarded, list(`for="6.6.6.6, for=203.0.113.7`), "203.0.113.7"},
		{"Forwarded: a quote that takes in the proxy's", front, forwarded, list(`for=6.6.6.6;x=", for="[2001:db8::7]"`), "2001:db8::7"},
		{"Forwarded: a quote and a trusted proxy", front, forwarded, list(`for="6.6.6.6, for="[fc00::1]"`), "fc00::1"},
		{"Forwarded: an escaped quote", front, forwarded, list(`for=10.1.1.1;host="a\", for=6.6.6.6;x=\"b"`), "10.0.0.1"},
		{"Forwarded: an escaped backslash", front, forwarded, list(`for="6.6.6.6\\"`), "10.0.0.1"},
		{"Forwarded: for twice", front, forwarded, list(`for=6.6.6.6;for=10.1.1.1`), "10.0.0.1"},
		{"Forwarded: for twice, the second first", front, forwarded, list(`for=10.1.1.1;FOR=6.6.6.6`), "10.0.0.1"},
		{"Forwarded: without for", front, forwarded, list(`for=6.6.6.6, proto=https`), "10.0.0.1"},
		{"Forwarded: by is not for", front, forwarded, list(`by=6.6.6.6`), "10.0.0.1"},
		{"Forwarded: a name that ends in for", front, forwarded, list(`xfor=6.6.6.6`), "10.0.0.1"},
		{"Forwarded: space in the name", front, forwarded, list(`for =6.6.6.6`), "10.0.0.1"},
		{"Forwarded: space before the value", front, forwarded, list(`for= 6.6.6.6`), "10.0.0.1"},
		{"Forwarded: unknown", front, forwarded, list(`for=6.6.6.6, for=unknown, for=10.1.1.1`), "10.1.1.1"},
		{"Forwarded: hidden", front, forwarded, list(`for=6.6.6.6, for="_gazonk"`), "10.0.0.1"},
		{"Forwarded: hidden like an address", front, forwarded, list(`for=_6.6.6.6`), "10.0.0.1"},
		{"Forwarded: text behind the quote", front, forwarded, list(`for="6.6.6.6"1`), "10.0.0.1"},
		{"Forwarded: quotes in quotes", front, forwarded, list(`for=""6.6.6.6""`), "10.0.0.1"},
		{"Forwarded: a quote in a name", front, forwarded, list(`for=6.6.6.6;a"b"=c`), "10.0.0.1"},
		{"Forwarded: an address alone", front, forwarded, list(`6.6.6.6`), "10.0.0.1"},
		{"Forwarded: empty", front, forwarded, list(`for=6.6.6.6, `), "10.0.0.1"},
		{"Forwarded: no value", front, forwarded, list(`for=6.6.6.6, for=`), "10.0.0.1"},

		{"X-Real-IP: two lines", front, realIP, list("6.6.6.6", "203.0.113.7"), "10.0.0.1"},
		{"X-Real-IP: a list", front, realIP, list("6.6.6.6, 203.0.113.7"), "10.0.0.1"},
		{"X-Real-IP: garbage", front, realIP, list("6.6.6.6 x"), "10.0.0.1"},
		{"X-Real-IP: empty", front, realIP, list(""), "10.0.0.1"},
	} {
		r := request(c.peer, c.header, c.lines...)
		for _, other := range []string{forwardedFor, forwarded, realIP, "True-Client-Ip", "X-Client-Ip"} {
			if !strings.EqualFold(other, c.header) {
				r.Header.Set(other, map[bool]string{true: "for=6.6.6.6", false: "6.6.6.6"}[other == forwarded])
			}
		}
		if got, ok := trusted(t, "10.0.0.0/8 fc00::/7").Client(r, c.header); got.String() != c.want || !ok {
			t.Errorf("%s: Client(%s, %s: %q) = %v, %v, want %s", c.name, c.peer, c.header, c.lines, got, ok, c.want)
		}
	}
}

func TestClientLooksAtABoundedNumberOfHops(t *testing.T) {
	chain := func(hops int) string { return "192.0.2.1" + strings.Repeat(", 10.0.0.2", hops-1) }
	for hops, want := range map[int]string{proxy.MaxHops: "192.0.2.1", proxy.MaxHops + 1: "10.0.0.2", 100_000: "10.0.0.2"} {
		for _, lines := range [][]string{{chain(hops)}, strings.Split(chain(hops), ", ")} {
			got, ok := trusted(t, "private").Client(request(front, forwardedFor, lines...), "")
			if got.String() != want || !ok {
				t.Errorf("%d hops in %d lines: %v, %v, want %s", hops, len(lines), got, ok, want)
			}
		}
	}
}

func TestClientOfUnixSocket(t *testing.T) {
	for _, c := range []struct{ trusted, peer, line, want string }{
		{"unix", "@", "192.0.2.1", "192.0.2.1"},
		{"unix", "", "192.0.2.1", "192.0.2.1"},
		{"unix loopback", "@", "192.0.2.1, 127.0.0.1", "192.0.2.1"},
		{"unix", "@", "", "invalid IP"},
		{"unix", "@", "6.6.6.6, garbage", "invalid IP"},
		{"loopback", "@", "6.6.6.6", "invalid IP"},
		{"", "@", "6.6.6.6", "invalid IP"},
		{"private", front, "6.6.6.6", "invalid IP"}, // a socket file with the name of an address
		{"private unix", front, "", "invalid IP"},
	} {
		r := atUnix(request(c.peer, forwardedFor, c.line))
		if got, ok := trusted(t, c.trusted).Client(r, ""); got.String() != c.want || ok != got.IsValid() {
			t.Errorf("%q trusted: Client(%q, %q) = %v, %v, want %s", c.trusted, c.peer, c.line, got, ok, c.want)
		}
	}
	for _, peer := range []string{"", "@", "/run/x", "10.0.0.1", "pipe"} { // not known to be a unix socket
		r := request(peer, forwardedFor, "6.6.6.6")
		if got, _ := trusted(t, "unix").Client(r, ""); got.String() == "6.6.6.6" {
			t.Errorf("peer %q is taken for that of a unix socket", peer)
		}
	}
}

func TestClientWithoutTrustedProxiesIsThePeer(t *testing.T) {
	for peer, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1", "[::ffff:10.0.0.1]:80": "10.0.0.1", "[fe80::1%eth0]:80": "fe80::1", "[::1]:80": "::1",
	} {
		var none *proxy.Trusted
		for _, tr := range []*proxy.Trusted{none, {}} {
			if got, ok := tr.Client(request(peer, forwardedFor, "6.6.6.6"), ""); got.String() != want || !ok {
				t.Errorf("Client(%s) = %v, %v, want %s", peer, got, ok, want)
			}
		}
	}
}

func TestSecureBelievesTrustedProxiesOnly(t *testing.T) {
	for _, c := range []struct {
		peer  string
		tls   bool
		lines []string
		want  bool
	}{
		{front, false, nil, false},
		{front, true, nil, true},
		{front, false, []string{"https"}, true},
		{front, false, []string{" HTTPS "}, true},
		{front, false, []string{"http"}, false},
		{front, true, []string{"http"}, false},
		{front, true, []string{""}, false},
		{front, false, []string{"https, http"}, false},
		{front, false, []string{"https", "http"}, false},
		{front, false, []string{"http, https"}, false},
		{front, false, []string{"https, https", "https"}, true},
		{front, false, []string{"httpsx"}, false},
		{front, false, []string{"https,"}, false},
		{"192.0.2.1:80", false, []string{"https"}, false},
		{"192.0.2.1:80", true, []string{"http"}, true},
	} {
		r := request(c.peer, "X-Forwarded-Proto", c.lines...)
		if c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		if got := trusted(t, "private").Secure(r); got != c.want {
			t.Errorf("Secure(%s, tls %v, %q) = %v, want %v", c.peer, c.tls, c.lines, got, c.want)
		}
	}
	r := atUnix(request("@", "X-Forwarded-Proto", "https"))
	if !trusted(t, "unix").Secure(r) || trusted(t, "private").Secure(r) {
		t.Errorf("Secure over a unix socket does not depend on who is trusted")
	}
}

func TestUntrustedPeersCostNoAllocation(t *testing.T) {
	r := request("192.0.2.1:4711", forwardedFor, "192.0.2.9, 10.0.0.1")
	r.Header.Set("X-Forwarded-Proto", "https")
	r6 := request("[fe80::1%eth0]:4711", forwardedFor, "192.0.2.9")
	for name, tr := range map[string]*proxy.Trusted{"nobody": nil, "others": trusted(t, "10.0.0.0/8 loopback unix")} {
		allocs := testing.AllocsPerRun(100, func() {
			tr.Client(r, "")
			tr.Client(r6, realIP)
			tr.Secure(r)
		})
		if allocs != 0 {
			t.Errorf("%s trusted: %v allocations, want 0", name, allocs)
		}
	}
}

// FuzzAppendedHopsDecide has the client write the header and two proxies append to it:
// nothing that the client writes changes the result, which is its own address.
func FuzzAppendedHopsDecide(f *testing.F) {
	for _, text := range []string{"", ",", `"`, `for="`, `for=6.6.6.6;x="`, `\`, `a\"`, "6.6.6.6, 10.0.0.1", "[", "%", "unknown", "_x", `for="6.6.6.6\", `, `", for=6.6.6.6;x="`, `", for="6.6.6.6`} {
		f.Add(text, "6.6.6.6")
	}
	tr := trusted(f, "private")
	f.Fuzz(func(t *testing.T, first, second string) {
		client := "192.0.2.1"
		for header, hops := range map[string][2]string{
			forwardedFor: {client + ":80", "10.2.2.2"},
			forwarded:    {`by="[fc00::1]";for="` + client + `:80"`, `for="[fc00::1]:80";host="a,b"`},
		} {
			for _, lines := range [][]string{
				{first, second + ", " + hops[0] + "," + hops[1]},
				{first, second, hops[0] + ", " + hops[1]},
				{first, second + "," + hops[0], hops[1]},
			} {
				if got, ok := tr.Client(request(front, header, lines...), header); got.String() != client || !ok {
					t.Errorf("Client(%s: %q) = %v, want %s", header, lines, got, client)
				}
			}
		}
		checkQuoted(t, tr, client, first+second)
		for _, header := range []string{forwardedFor, forwarded, realIP} {
			checkAlone(t, tr, header, first, second)
		}
	})
}

// checkQuoted: a proxy may quote what the client has sent, as its Host. Then the search may
// end too early, but not with an address of the client's choice.
func checkQuoted(t *testing.T, tr *proxy.Trusted, client, text string) {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	line := "for=" + client + ";host=" + quoted + `, for="[fc00::1]";host=` + quoted
	switch got, _ := tr.Client(request(front, forwarded, line), forwarded); got.String() {
	case client, "fc00::1", "10.0.0.1":
	default:
		t.Errorf("Client(%q) = %v, want %s or a proxy", line, got, client)
	}
}

// checkAlone: with no proxy behind it, what the client writes gives an address or the
// peer's, and one that is written in it.
func checkAlone(t *testing.T, tr *proxy.Trusted, header string, lines ...string) {
	got, ok := tr.Client(request(front, header, lines...), header)
	if !ok || got.Zone() != "" || got.Is4In6() {
		t.Errorf("Client(%s: %q) = %v, %v", header, lines, got, ok)
	}
	if stranger, _ := tr.Client(request("203.0.113.7:80", header, lines...), header); stranger != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("Client(%s: %q) of a stranger = %v", header, lines, stranger)
	}
	if all := fmt.Sprint(lines); got.Is4() && got.String() != "10.0.0.1" && !strings.Contains(all, got.String()) && !strings.Contains(all, ":") {
		t.Errorf("Client(%s: %q) = %v, which is not there", header, lines, got)
	}
}

func BenchmarkClient(b *testing.B) {
	tr := trusted(b, "private loopback 198.51.100.0/24 2001:db8::/32")
	for name, r := range map[string]*http.Request{
		"peer=stranger": request("192.0.2.1:4711", forwardedFor, "192.0.2.9"),
		"peer=proxy":    request(front, forwardedFor, "192.0.2.9, 10.0.0.2"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tr.Client(r, "")
			}
		})
	}
}
