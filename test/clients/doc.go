// Package clients holds no code but tests: weir's program, built and started as
// users start it, against the clients that users have.
//
// They are Chromium with its own EventSource, curl, the eventsource package of
// npm, the fetch of Node.js, the Go client tmaxmax/go-sse, and weir's own pub and
// sub. A program that is missing fails the tests; "go run ./test" installs all.
//
// Begin reading with main_test.go. Each test starts a server of its own, so all
// run at once.
package clients
