package native

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/problem"
)

// query returns the parameters of a request's URL. What cannot be read is an
// error: [url.URL.Query] would leave it out.
func query(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.BadRequest("bad_parameter", "the query cannot be read: "+err.Error())
	}
	return q, nil
}

// onlyParams refuses parameters that mean nothing here: a misspelt one would
// silently change what the reader gets. Each but topic has one value. A ticket may be
// anywhere: it says who the reader is.
func onlyParams(q url.Values, known []string) error {
	for _, name := range sortedNames(q) {
		switch n := len(q[name]); {
		case name != "ticket" && !slices.Contains(known, name):
			return problem.BadRequest("unknown_parameter", "unknown parameter "+problem.Quote(name)+"; "+list(known))
		case n > 1 && name != "topic":
			return problem.BadRequest("bad_parameter", name+" is given "+strconv.Itoa(n)+" times: want it once")
		}
	}
	return nil
}

// list says which names are possible.
func list(known []string) string {
	if len(known) == 0 {
		return "there is none here"
	}
	return "known are " + strings.Join(known, ", ")
}

func sortedNames(q url.Values) []string {
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// textParam reads a parameter that is any text.
func textParam(q url.Values, name string) (string, error) {
	if s := q.Get(name); !utf8.ValidString(s) {
		return "", problem.BadRequest("bad_parameter", name+" is "+problem.Quote(s)+": want UTF-8")
	}
	return q.Get(name), nil
}

// choice reads a parameter that is one of several words. It is zero if absent.
func choice[T interface {
	comparable
	String() string
}](q url.Values, name string, values ...T) (none T, err error) {
	if !q.Has(name) {
		return none, nil
	}
	var words []string
	for _, v := range values {
		if v.String() == q.Get(name) {
			return v, nil
		}
		words = append(words, v.String())
	}
	return none, problem.BadRequest("bad_parameter", name+" is "+problem.Quote(q.Get(name))+": want "+strings.Join(words, ", "))
}

func boolParam(q url.Values, name string) (bool, error) {
	if !q.Has(name) {
		return false, nil
	}
	b, err := strconv.ParseBool(q.Get(name))
	if err != nil {
		return false, problem.BadRequest("bad_parameter", name+" is "+problem.Quote(q.Get(name))+": want true or false")
	}
	return b, nil
}
