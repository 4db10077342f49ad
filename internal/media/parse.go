package media

import "strings"

// A mediaRange is one element of an Accept header, or a media type.
type mediaRange struct {
	typ, subtype string
	params       string // the rest as sent, well-formed
	count        int    // parameters but the weight
	weight       int    // 0 to full
}

// A param is "name=value"; the zero param stands for the nothing between two
// semicolons.
type param struct {
	name, value string // value without quotes
}

// parse reads one element; ok is false if it is not well-formed.
func parse(s string) (r mediaRange, ok bool) {
	head, params := cut(s, ';')
	r.typ, r.subtype, ok = parseType(trim(head))
	r.params, r.weight = params, full
	for ok && params != "" {
		var p param
		p, params, ok = nextParam(params)
		switch {
		case p.name == "":
		case equalFold(p.name, "q"):
			var valid bool
			r.weight, valid = parseWeight(p.value)
			ok = ok && valid
		default:
			r.count++
		}
	}
	return r, ok
}

func parseType(s string) (typ, subtype string, ok bool) {
	if s == "*" {
		return "*", "*", true
	}
	typ, subtype, _ = strings.Cut(s, "/")
	return typ, subtype, isToken(typ) && isToken(subtype) && (typ != "*" || subtype == "*")
}

// nextParam reads the parameter that s begins with.
func nextParam(s string) (p param, rest string, ok bool) {
	s, rest = cut(s, ';')
	if s = trim(s); s == "" {
		return param{}, rest, true
	}
	p.name, p.value, _ = strings.Cut(s, "=")
	p.value, ok = unquote(p.value)
	return p, rest, ok && isToken(p.name)
}

// ignored reports whether p says nothing about what a range covers.
func (p param) ignored() bool {
	return p.name == "" || equalFold(p.name, "q") || p.equal(param{"charset", "utf-8"})
}

func (p param) equal(o param) bool {
	return equalFold(p.name, o.name) && equalFold(p.value, o.value)
}

// parseWeight reads "0.5" as 500. Decimals after the third are dropped.
func parseWeight(s string) (int, bool) {
	whole, decimals, found := strings.Cut(s, ".")
	if whole != "0" && whole != "1" && (whole != "" || decimals == "") {
		return 0, false
	}
	weight, unit := 0, full
	if whole == "1" {
		weight = full
	}
	for i := 0; found && i < len(decimals); i++ {
		c := decimals[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		weight += int(c-'0') * unit
	}
	return weight, weight <= full
}

// unquote returns the value that s stands for: a token, or a quoted string. It
// allocates only if there is a backslash.
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, isToken(s)
	}
	if quotedLen(s) != len(s) {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}

// cut returns s up to the first sep that is not in a quoted string, and what
// follows it. A quoted string without end reaches to the end of s.
func cut(s string, sep byte) (before, after string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case sep:
			return s[:i], s[i+1:]
		case '"':
			i += quotedLen(s[i:]) - 1
		}
	}
	return s, ""
}

// quotedLen returns the length of the quoted string that s begins with, quotes
// included; more than len(s) if it has no end.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s) + 1
}

func trim(s string) string {
	return strings.Trim(s, " \t")
}

// Source: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
