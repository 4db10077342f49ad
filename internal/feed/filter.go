package feed

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const maxFilter = 65_535 // bytes that MQTT has room for

func (s *Spec) checkMQTT() error {
	if len(s.Subscribe) == 0 {
		return fmt.Errorf("has nothing to read: add subscribe: [FILTER, ...]")
	}
	for _, f := range s.Subscribe {
		if err := checkFilter(f); err != nil {
			return fmt.Errorf("subscribe: %.100q %w", f, err)
		}
	}
	return nil
}

// checkFilter reports what is wrong with a filter of MQTT, for which servers just close
// the connection.
func checkFilter(filter string) error {
	if filter == "" || len(filter) > maxFilter || !utf8.ValidString(filter) || strings.Contains(filter, "\x00") {
		return fmt.Errorf("is not a filter: want 1 to %d bytes of text", maxFilter)
	}
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok {
		group, of, _ := strings.Cut(shared, "/")
		if group == "" || of == "" || strings.ContainsAny(group, "+#") {
			return fmt.Errorf("is not a shared filter: want $share/GROUP/FILTER")
		}
		filter = of
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if last := i == len(levels)-1; strings.ContainsAny(level, "+#") && level != "+" && (level != "#" || !last) {
			return fmt.Errorf("is not a filter: + and # stand for whole levels, and # for the last ones")
		}
	}
	return nil
}
