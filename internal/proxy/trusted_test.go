package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proxy"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// trusted parses entries that are separated by spaces.
func trusted(t testing.TB, texts string) *proxy.Trusted {
	t.Helper()
	tr, err := proxy.ParseTrusted(strings.Fields(texts))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTrustedHasWhatWasListed(t *testing.T) {
	for _, c := range []struct{ texts, has, lacks string }{
		{"", "", "127.0.0.1 ::1 0.0.0.0 ::"},
		{"192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 192.0.2.8 ::c000:207"},
		{"::ffff:192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.8"},
		{"2001:db8::1", "2001:db8::1 2001:db8::1%eth0", "2001:db8:: 2001:db8::2"},
		{"10.0.0.0/8", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "9.255.255.255 11.0.0.0 a00:: ::a00:1"},
		{"10.0.0.0/30", "10.0.0.0 10.0.0.3", "10.0.0.4 9.255.255.255"},
		{"10.0.0.1/32", "10.0.0.1", "10.0.0.0 10.0.0.2"},
		{"::ffff:10.0.0.0/104", "10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"},
		{"2001:db8::/33", "2001:db8:: 2001:db8:7fff:ffff::1", "2001:db8:8000:: 2001:db7:ffff::"},
		{"0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:1.1.1.1", ":: ::1 2001:db8::1"},
		{"::/0", ":: ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0 1.1.1.1 ::ffff:1.1.1.1"},
		{"loopback", "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1", "126.255.255.255 128.0.0.0 ::2 :: 10.0.0.1"},
		{"private", "10.0.0.1 172.16.0.0 172.31.255.255 192.168.255.255 169.254.1.1 fc00::1 fdff::1 fe80::1%eth0 febf::1",
			"172.15.255.255 172.32.0.0 192.167.0.1 192.169.0.0 169.253.0.1 100.64.0.1 fbff::1 fe00::1 fec0::1 127.0.0.1 ::1"},
		{"10.0.0.0/8 10.1.0.0/16 9.0.0.0/8 10.2.0.1", "9.0.0.0 10.0.0.0 10.1.0.0 10.200.0.0 10.255.255.255", "8.255.255.255 11.0.0.0"},
		{"unix", "", "0.0.0.0 :: 127.0.0.1"},
	} {
		tr := trusted(t, c.texts)
		for _, addr := range strings.Fields(c.has) {
			if !tr.Has(netip.MustParseAddr(addr)) {
				t.Errorf("%q does not have %s", c.texts, addr)
			}
		}
		for _, addr := range strings.Fields(c.lacks) {
			if tr.Has(netip.MustParseAddr(addr)) {
				t.Errorf("%q has %s", c.texts, addr)
			}
		}
		if tr.Has(netip.Addr{}) {
			t.Errorf("%q has the address that is none", c.texts)
		}
	}
	var none *proxy.Trusted
	if none.Has(netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("nil has an address")
	}
}

// TestTrustedAgreesWithPrefixes compares with the slow way, over many overlapping
// prefixes.
func TestTrustedAgreesWithPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr { // few bits vary, so that prefixes meet
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{byte(rnd.IntN(2)) * 255, byte(rnd.IntN(4)), 0, byte(rnd.IntN(4))})
		}
		return netip.AddrFrom16([16]byte{0: byte(rnd.IntN(2)) * 255, 9: byte(rnd.IntN(4)), 15: byte(rnd.IntN(4))})
	}
	for range 300 {
		var prefixes []netip.Prefix
		var texts []string
		for range rnd.IntN(20) {
			addr := address()
			p, _ := addr.Prefix(addr.BitLen()/2 + rnd.IntN(addr.BitLen()/2+1))
			prefixes, texts = append(prefixes, p), append(texts, p.String())
		}
		tr := trusted(t, strings.Join(texts, " "))
		for range 300 {
			addr := address()
			want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
			if got := tr.Has(addr); got != want {
				t.Fatalf("%v: Has(%s) = %v, want %v", texts, addr, got, want)
			}
		}
	}
}

func TestBadTrustedEntriesAreNamed(t *testing.T) {
	const kinds = `: want an IP address, a prefix such as "10.0.0.0/8", or one of the words "loopback", "private" and "unix"`
	for text, want := range map[string]string{
		"":                    `trusted proxy ""` + kinds,
		"*":                   `trusted proxy "*"` + kinds,
		"Loopback":            `trusted proxy "Loopback"` + kinds,
		"proxy.example":       `trusted proxy "proxy.example"` + kinds,
		" 10.0.0.1":           `trusted proxy " 10.0.0.1"` + kinds,
		"10.0.0.1:80":         `trusted proxy "10.0.0.1:80"` + kinds,
		"10.0.0.01":           `trusted proxy "10.0.0.01"` + kinds,
		"10.0.0.0/33":         `trusted proxy "10.0.0.0/33"` + kinds,
		"10.0.0.0/8\n":        `trusted proxy "10.0.0.0/8\n"` + kinds,
		"fe80::1%eth0":        `trusted proxy "fe80::1%eth0": want an address without a zone`,
		"10.1.2.3/8":          `trusted proxy "10.1.2.3/8": 10.1.2.3/8 has bits behind the prefix: want 10.0.0.0/8 for the network, or 10.1.2.3 for the address`,
		"2001:db8::1/32":      `trusted proxy "2001:db8::1/32": 2001:db8::1/32 has bits behind the prefix: want 2001:db8::/32 for the network, or 2001:db8::1 for the address`,
		"::ffff:0.0.0.0/90":   `trusted proxy "::ffff:0.0.0.0/90": ::ffff:0.0.0.0/90 has bits behind the prefix: want ::ffc0:0:0/90 for the network, or ::ffff:0.0.0.0 for the address`,
		"::ffff:10.0.0.1/100": `trusted proxy "::ffff:10.0.0.1/100": ::ffff:10.0.0.1/100 has bits behind the prefix: want ::ffff:0.0.0.0/100 for the network, or ::ffff:10.0.0.1 for the address`,
	} {
		if tr, err := proxy.ParseTrusted([]string{"10.0.0.0/8", text}); fmt.Sprint(err) != want || tr != nil {
			t.Errorf("ParseTrusted(%q) gives\n%v, want\n%s", text, err, want)
		}
	}
}

func TestTrustedEntriesAreBounded(t *testing.T) {
	texts := make([]string, proxy.MaxTrusted)
	for i := range texts {
		texts[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	tr, err := proxy.ParseTrusted(texts)
	if err != nil || !tr.Has(netip.MustParseAddr("10.0.3.231")) || tr.Has(netip.MustParseAddr("10.0.3.232")) {
		t.Errorf("%d entries: %v", len(texts), err)
	}
	if _, err := proxy.ParseTrusted(append(texts, "::1")); fmt.Sprint(err) != "1001 trusted proxies, limit 1000" {
		t.Errorf("1001 entries: %v", err)
	}
}
