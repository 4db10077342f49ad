// Package access decides who may publish and read what.
//
// A [Verifier] turns a request into a [Grant], from a JSON Web Token, an API key
// or a one-time ticket; [Grant.MayPublish] and [Grant.MaySubscribe] then answer
// for each topic. [Key] and [Remote] hold what signatures are checked with,
// [Tickets] what was issued and not redeemed. Every refusal is an [*Error] with a
// stable code.
//
// No text of an error holds a token, a key or a ticket, since errors go to clients and
// into logs. At most it quotes a claim of a token whose signature is right, or the
// name of a claim.
//
// All of it may be used at once.
//
// Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7519 (JWT), RFC 8725 (their safe
// use), RFC 6750 (bearer tokens).
package access

import (
	"fmt"
	"net/http"
)

// A Code says why access was refused. Codes do not change.
type Code string

// Codes, with the HTTP status that belongs to each.
const (
	NoToken         Code = "no_token"         // 401: nothing says who it is
	BadToken        Code = "bad_token"        // 401: not a token, or not one for this server
	ExpiredToken    Code = "expired_token"    // 401: get a new one
	EarlyToken      Code = "early_token"      // 401: it begins to hold later
	BadKey          Code = "bad_key"          // 401: an API key that is not known
	BadTicket       Code = "bad_ticket"       // 401: used, expired, or never issued
	TokenInQuery    Code = "token_in_query"   // 400: URLs end up in logs and histories
	CrossOrigin     Code = "cross_origin"     // 403: a cookie that a page of another origin made the browser send
	Forbidden       Code = "forbidden"        // 403: known, and not allowed
	KeysUnavailable Code = "keys_unavailable" // 503: no keys could be fetched so far
	TooManyTickets  Code = "too_many_tickets" // 503: try again in a few seconds
)

// An Error is a refusal. Its detail is fit for the client.
type Error struct {
	Code   Code
	Detail string // without a secret; lower case, no full stop
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Status returns the HTTP status that belongs to the code.
func (e *Error) Status() int {
	switch e.Code {
	case TokenInQuery:
		return http.StatusBadRequest
	case CrossOrigin, Forbidden:
		return http.StatusForbidden
	case KeysUnavailable, TooManyTickets:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// Challenge returns the value of the header WWW-Authenticate, which an answer
// with status 401 or 403 should carry, or "".
//
// Source: RFC 6750, section 3.
func (e *Error) Challenge() string {
	switch e.Code {
	case NoToken:
		return "Bearer"
	case BadToken, ExpiredToken, EarlyToken, BadKey, BadTicket:
		return `Bearer error="invalid_token"`
	case Forbidden:
		return `Bearer error="insufficient_scope"`
	}
	return ""
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
