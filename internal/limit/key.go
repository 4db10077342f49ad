package limit

import (
	"crypto/sha256"
	"hash/maphash"
	"net/netip"
)

// A Kind says what a key stands for.
type Kind uint8

// Kinds. Everyone has no keys: it is the kind of limits on all clients together.
const (
	Everyone Kind = iota
	Address
	User
	Token
	kinds
)

var kindNames = [kinds]string{"everyone", "address", "user", "token"}

// String returns the name, as for a label: "everyone", "address", "user", "token".
func (k Kind) String() string { return kindNames[k] }

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Everyone, Address, User, Token} }

// A Key is whom something is counted for. It has no pointers and takes 17 bytes.
// The zero Key is nobody in particular: it is never counted and never refused.
type Key struct {
	kind Kind
	id   [16]byte
}

// Kind returns what the key stands for, and Everyone for the zero Key.
func (k Key) Kind() Kind { return k.kind }

// defaultIPv6Prefix is what one customer of a provider gets at least.
const defaultIPv6Prefix = 64

// AddressKey returns the key of an address. IPv4 counts in full, in both of its
// notations. IPv6 counts by its first ipv6Prefix bits, 1 to 128, because one client
// has as many addresses as it likes behind them; 0 is 64. The key of the zero Addr,
// which is what a client on a unix socket has, is the zero Key.
func AddressKey(addr netip.Addr, ipv6Prefix int) Key {
	if !addr.IsValid() {
		return Key{}
	}
	if addr = addr.Unmap(); addr.Is6() {
		addr = network(addr, ipv6Prefix)
	}
	return Key{kind: Address, id: addr.As16()}
}

func network(addr netip.Addr, bits int) netip.Addr {
	if bits <= 0 {
		bits = defaultIPv6Prefix
	}
	p, _ := addr.Prefix(min(bits, addr.BitLen())) // fails for more bits only; drops the zone
	return p.Addr()
}

// UserKey returns the key of a user by name. That of "" is the zero Key.
func UserKey(name string) Key { return hashed(User, name) }

// TokenKey returns the key of a token by its ID. That of "" is the zero Key.
func TokenKey(id string) Key { return hashed(Token, id) }

// hashed makes all keys equally long, so that their memory does not depend on what
// clients call themselves. Nobody finds two texts with the same 128 bits of SHA-256.
func hashed(kind Kind, text string) Key {
	if text == "" {
		return Key{}
	}
	var room [256]byte // so that the usual text is not copied to the heap
	sum := sha256.Sum256(append(room[:0], text...))
	return Key{kind: kind, id: [16]byte(sum[:])}
}

// whose is the key as the client knows it.
func (k Key) whose() string { return " of this " + k.kind.String() }

// hash spreads keys over shards; without the seed nobody can aim at one.
func (k Key) hash(seed maphash.Seed) uint64 { return maphash.Bytes(seed, k.id[:]) }
