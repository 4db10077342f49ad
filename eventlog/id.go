package eventlog

import (
	"strconv"
	"strings"
)

// epochLen is the length of an epoch in bytes.
const epochLen = 8

// epochAlphabet holds the characters of an epoch, those of base32 in lower case.
const epochAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// FormatID returns the event ID of a position, "<epoch>-<seq>": "k3v7qa2m-1042".
func FormatID(epoch string, seq uint64) string {
	return string(AppendID(nil, epoch, seq))
}

// AppendID appends what [FormatID] returns to dst. It does not allocate if dst has
// room for 29 bytes.
func AppendID(dst []byte, epoch string, seq uint64) []byte {
	dst = append(dst, epoch...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, seq, 10)
}

// ParseID takes an event ID apart. ok is false if s is not exactly what [FormatID]
// returns for some epoch and position. Position 0 is the one before all entries.
func ParseID(s string) (epoch string, seq uint64, ok bool) {
	epoch, digits, found := strings.Cut(s, "-")
	if !found || len(epoch) != epochLen || strings.Trim(epoch, epochAlphabet) != "" {
		return "", 0, false
	}
	if digits == "" || digits[0] == '0' && digits != "0" {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return "", 0, false
	}
	return epoch, seq, true
}
