package limit

import (
	"encoding/hex"
	"fmt"
)

// Share makes limits of keys hold for several servers together. elsewhere returns how
// many the others have open, and is called with each wish that has a limit; changed
// tells that this one has more or less open of a key with a limit than before, which
// OpenOf then returns. Both are called with locks held: they must not block, nor call
// the Slots. Share is called before anything else.
//
// What others have opened a moment ago is not known yet, so a limit can be passed by
// what several servers open at the same time.
func (s *Slots) Share(elsewhere func(Key) int, changed func(Key)) {
	s.elsewhere, s.changed = elsewhere, changed
}

// others returns how many there are elsewhere of what is wished for.
func (s *Slots) others(w Want) int {
	if s.elsewhere == nil || w.Limit == 0 {
		return 0
	}
	return s.elsewhere(w.Key)
}

// tell tells that the count of h is another.
func (s *Slots) tell(h *holder) {
	if h.told && s.changed != nil {
		s.changed(h.key)
	}
}

// MarshalText returns 34 hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, append([]byte{byte(k.kind)}, k.id[:]...)), nil
}

// UnmarshalText reads what MarshalText returns.
func (k *Key) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 1+len(k.id) || b[0] == 0 || b[0] >= byte(kinds) {
		return fmt.Errorf("limit: %.40q is not a key", text)
	}
	k.kind, k.id = Kind(b[0]), [16]byte(b[1:])
	return nil
}
