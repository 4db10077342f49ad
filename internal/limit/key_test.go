package limit_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/limit"
)

func TestAddressesOfOneClientHaveOneKey(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		prefix int
		same   bool
	}{
		{"192.0.2.1", "192.0.2.1", 64, true},
		{"192.0.2.1", "192.0.2.2", 64, false},
		{"192.0.2.1", "::ffff:192.0.2.1", 64, true},
		{"192.0.2.1", "::ffff:192.0.2.2", 64, false},
		{"192.0.2.1", "::ffff:192.0.2.1%eth0", 64, true},
		{"192.0.2.1", "::ffff:192.0.2.1", 1, true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", 64, true},
		{"2001:db8::1", "2001:db8:0:1::1", 64, false},
		{"2001:db8::1", "2001:db8:0:1::1", 0, false},
		{"2001:db8::1", "2001:db8::2", 0, true},
		{"2001:db8::1", "2001:db8:0:1::1", 48, true},
		{"2001:db8::1", "2001:db8:1::1", 48, false},
		{"2001:db8::1", "2001:db8::2", 128, false},
		{"2001:db8::1", "2001:db8::2", 1000, false},
		{"fe80::1%eth0", "fe80::2%eth1", 64, true},
		{"fe80::1%eth0", "fe80::1%eth1", 128, true},
		{"::1", "::2", 64, true},
		{"::1", "0.0.0.1", 64, false},
	} {
		a, b := limit.AddressKey(netip.MustParseAddr(c.a), c.prefix), limit.AddressKey(netip.MustParseAddr(c.b), c.prefix)
		if (a == b) != c.same {
			t.Errorf("%s and %s by /%d: one key is %v, want %v", c.a, c.b, c.prefix, a == b, c.same)
		}
		if a.Kind() != limit.Address {
			t.Errorf("%s: the kind is %v", c.a, a.Kind())
		}
	}
}

func TestNobodyHasTheZeroKey(t *testing.T) {
	for name, k := range map[string]limit.Key{
		"address": limit.AddressKey(netip.Addr{}, 64), "user": limit.UserKey(""), "token": limit.TokenKey(""),
	} {
		if k != (limit.Key{}) || k.Kind() != limit.Everyone {
			t.Errorf("%s: %v of kind %v, want the zero key", name, k, k.Kind())
		}
	}
	if limit.AddressKey(netip.IPv6Unspecified(), 64) == (limit.Key{}) {
		t.Error(":: has the zero key")
	}
}

func TestNamesHaveKeysOfTheirOwn(t *testing.T) {
	long := strings.Repeat("x", 300)
	seen := make(map[limit.Key]string)
	for _, name := range []string{"a", "b", "a ", "A", long, long + "y"} {
		for kind, k := range map[string]limit.Key{"user": limit.UserKey(name), "token": limit.TokenKey(name)} {
			if other, twice := seen[k]; twice {
				t.Errorf("%s %q has the key of %s", kind, name, other)
			}
			if seen[k] = kind + " " + name; k.Kind().String() != kind {
				t.Errorf("%s %q has a key of kind %v", kind, name, k.Kind())
			}
		}
	}
	if limit.UserKey(long) != limit.UserKey(strings.Clone(long)) {
		t.Error("one name has two keys")
	}
}

func TestKindsHaveNames(t *testing.T) {
	var names []string
	for _, k := range limit.Kinds() {
		names = append(names, k.String())
	}
	if got := strings.Join(names, " "); got != "everyone address user token" {
		t.Errorf("the kinds are %s", got)
	}
}

func TestKeysDoNotAllocate(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	name := strings.Repeat("n", 255)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = limit.AddressKey(v4, 64), limit.AddressKey(v6, 64)
		_, _ = limit.UserKey(name), limit.TokenKey(name)
	}); n != 0 {
		t.Errorf("four keys take %v allocations, want 0", n)
	}
}
