// Package access decides who may publish and read what.
//
// A [Verifier] turns a request into a [Grant], from a JSON Web Token, an API key
// or a one-time ticket, or by asking an application; [Grant.MayPublish] and
// [Grant.MaySubscribe] then answer for each topic. [Key] and [Remote] hold what
// signatures are checked with, [Tickets] what was issued and not redeemed, [Revoked]
// what was taken back; both may be kept in a [Store] that several servers have in common.
// [Forward] asks the application. Every refusal is an [*Error] with a stable code.
//
// No text of an error holds a token, a key or a ticket, since errors go to clients and
// into logs. At most it quotes a claim of a token whose signature is right, or the
// name of a claim.
//
// All of it may be used at once.
//
// Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7519 (JWT), RFC 8725 (their safe
// use), RFC 6750 (bearer tokens), RFC 9111 (caching, of what an application says).
package access

import (
	"fmt"
	"net/http"
	"time"
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
	RevokedToken    Code = "revoked_token"    // 401: taken back before its time
	TokenInQuery    Code = "token_in_query"   // 400: URLs end up in logs and histories
	CrossOrigin     Code = "cross_origin"     // 403: a cookie that a page of another origin made the browser send
	Forbidden       Code = "forbidden"        // 403: known, and not allowed
	KeysUnavailable Code = "keys_unavailable" // 503: no keys could be fetched so far
	AuthUnavailable Code = "auth_unavailable" // 503: the application that decides gave no answer that counts
	TooManyTickets  Code = "too_many_tickets" // 503: try again in a few seconds
	TooManyRevoked  Code = "too_many_revoked" // 503: nothing was revoked, for want of room
	LogUnavailable  Code = "log_unavailable"  // 503: the [Store] does not answer
)

// An Error is a refusal. Its detail is fit for the client.
type Error struct {
	Code   Code
	Detail string // without a secret; lower case, no full stop

	challenge string // instead of the one of the code; ""
	cause     error  // for the operator only; nil
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap returns what is behind a refusal with the code auth_unavailable or
// log_unavailable, or nil. It is for the operator's log and not for the client.
func (e *Error) Unwrap() error { return e.cause }

// Status returns the HTTP status that belongs to the code.
func (e *Error) Status() int {
	switch e.Code {
	case TokenInQuery:
		return http.StatusBadRequest
	case CrossOrigin, Forbidden:
		return http.StatusForbidden
	case KeysUnavailable, AuthUnavailable, TooManyTickets, TooManyRevoked, LogUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// RetryAfter returns how long the client should wait before it tries again, in whole
// seconds. It is 0 unless the status is 503.
func (e *Error) RetryAfter() time.Duration {
	if e.Status() != http.StatusServiceUnavailable {
		return 0
	}
	return retryAfter
}

// retryAfter is about what a restart of an application takes.
const retryAfter = 5 * time.Second

// Challenge returns the value of the header WWW-Authenticate, which an answer
// with status 401 or 403 should carry, or "".
//
// Source: RFC 6750, section 3.
func (e *Error) Challenge() string {
	if e.challenge != "" {
		return e.challenge
	}
	switch e.Code {
	case NoToken:
		return "Bearer"
	case BadToken, ExpiredToken, EarlyToken, BadKey, BadTicket, RevokedToken:
		return `Bearer error="invalid_token"`
	case Forbidden:
		return `Bearer error="insufficient_scope"`
	}
	return ""
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
