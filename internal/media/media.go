// Package media chooses among media types by what a client accepts. Start with
// [Best], which picks what to send, and [Names], which tells a client that asks
// for a type from one that takes anything.
//
// Both take the values of all Accept header lines, as r.Header["Accept"] holds
// them. Elements that are not well-formed are ignored; if none is left, the client
// accepts everything. Three forms that clients send although the grammar lacks
// them are understood: "*" for "*/*", a weight of more than three decimals, and
// one without the leading zero (".2").
//
// A range with parameters covers only types that have the same ones. The
// exception is charset=utf-8, which covers every type, since all text that weir
// sends is UTF-8.
//
// All functions may be called at once.
//
// Source: RFC 9110, sections 5.6 (lists, parameters), 12.4.2 (weights) and 12.5.1
// (Accept).
package media

// Best returns the offer that the client likes most, and of several equal ones
// the first. It is false if the client accepts none of them, or there is none.
//
// An offer is weighed by the most specific range that covers it: type, subtype
// and parameters before type and subtype, before type/*, before */*. A weight of
// zero excludes it. Between two ranges of the same kind the larger weight counts.
func Best(accept []string, offers ...string) (offer string, ok bool) {
	best := 0
	for _, o := range offers {
		if w, _ := weigh(accept, o); w > best {
			offer, best = o, w
		}
	}
	return offer, best > 0
}

// Names reports whether the client asks for mediaType itself or for its whole
// type ("text/*"), and does not exclude it. Taking anything ("*/*"), or sending no
// Accept header, is not asking.
func Names(accept []string, mediaType string) bool {
	w, rank := weigh(accept, mediaType)
	return w > 0 && rank >= rankType
}

// Ranks of a range, the higher the more specific. Each parameter adds one to
// rankSubtype.
const (
	rankNone = iota
	rankAny
	rankType
	rankSubtype
)

// full is the largest weight: weights are counted in thousandths.
const full = 1000

// weigh returns the weight of offer, and the rank of the range that gives it.
func weigh(accept []string, offer string) (weight, rank int) {
	o, ok := parse(offer)
	if !ok {
		return 0, rankNone
	}
	seen := false
	for _, line := range accept {
		for line != "" {
			var element string
			element, line = cut(line, ',')
			r, ok := parse(element)
			if !ok {
				continue
			}
			seen = true
			if got := r.covers(o); got > rank || got == rank && got > rankNone && r.weight > weight {
				weight, rank = r.weight, got
			}
		}
	}
	if !seen {
		return full, rankNone
	}
	return weight, rank
}

// covers returns the rank at which r covers o; rankNone if it does not.
func (r mediaRange) covers(o mediaRange) int {
	switch {
	case !r.paramsIn(o):
		return rankNone
	case r.typ == "*":
		return rankAny
	case !equalFold(r.typ, o.typ):
		return rankNone
	case r.subtype == "*":
		return rankType
	case !equalFold(r.subtype, o.subtype):
		return rankNone
	}
	return rankSubtype + r.count
}

// paramsIn reports whether o has every parameter of r.
func (r mediaRange) paramsIn(o mediaRange) bool {
	for rest := r.params; rest != ""; {
		var p param
		p, rest, _ = nextParam(rest)
		if !p.ignored() && !o.has(p) {
			return false
		}
	}
	return true
}

func (r mediaRange) has(want param) bool {
	for rest := r.params; rest != ""; {
		var p param
		p, rest, _ = nextParam(rest)
		if p.equal(want) {
			return true
		}
	}
	return false
}
