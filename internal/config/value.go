package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	kibi = int64(1) << 10
	mebi = int64(1) << 20
	gibi = int64(1) << 30
	tebi = int64(1) << 40

	day = 24 * time.Hour
)

// zero says whether 0 is allowed although it lies outside the limits.
type zero bool

const (
	orZero zero = true
	noZero zero = false
)

// within is a range of values, both ends included.
type within[T cmp.Ordered] struct {
	least, most T
	zero        zero
}

func (w within[T]) check(v T, show func(T) string) error {
	var none T
	switch {
	case v == none && bool(w.zero):
		return nil
	case v < w.least:
		return fmt.Errorf("%s is below the limit %s", show(v), show(w.least))
	case v > w.most:
		return fmt.Errorf("%s is above the limit %s", show(v), show(w.most))
	}
	return nil
}

func (w within[T]) describe(show func(T) string) string {
	var none T
	text := show(w.least) + " to " + show(w.most)
	if w.zero && (none < w.least || none > w.most) {
		text += ", or 0"
	}
	return text
}

func parseDuration(text string, w within[time.Duration]) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		if _, bare := strconv.ParseFloat(text, 64); bare == nil {
			return 0, fmt.Errorf("%q is not a duration: give the unit, as in %ss", text, text)
		}
		return 0, fmt.Errorf("%q is not a duration: write it like 500ms, 15s, 2m or 24h", text)
	}
	return d, w.check(d, FormatDuration)
}

// FormatDuration writes d as the settings do: like d.String, but without units
// that are zero, so 24h and not 24h0m0s.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sizeUnits are in the order in which FormatSize tries them.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", tebi}, {"GiB", gibi}, {"MiB", mebi}, {"KiB", kibi}, {"B", 1},
}

func parseSize(text string, w within[int64]) (int64, error) {
	digits, unit := text, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: write it like 512, 64KiB, 1MiB or 2GiB", text)
	}
	if n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return 0, fmt.Errorf("%s is above the limit %s", text, FormatSize(w.most))
	}
	return n * unit, w.check(n*unit, FormatSize)
}

// FormatSize writes n bytes in the largest unit that needs no fraction.
func FormatSize(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && u.bytes > 1 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func parseNumber(text string, w within[int]) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, w.check(n, strconv.Itoa)
}

func parseFraction(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1) { // also not a number
		return 0, fmt.Errorf("%q is not a number from 0 to 1", text)
	}
	return v, nil
}

func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 16)
	if err != nil || n != 0 && (n > 0o777 || n < 0o600) {
		return 0, fmt.Errorf("%q is not a mode: write it like 0660", text)
	}
	return fs.FileMode(n), nil
}

func formatMode(m fs.FileMode) string {
	if m == 0 {
		return "0"
	}
	return fmt.Sprintf("%04o", uint32(m))
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func parseChoice(text string, choices []string) (string, error) {
	for _, c := range choices {
		if text == c {
			return c, nil
		}
	}
	return "", fmt.Errorf("%q is not one of %s%s", text, strings.Join(choices, ", "), DidYouMean(text, choices))
}

// splitList cuts a list given as one text at its commas; empty parts are dropped.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
