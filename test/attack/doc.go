// Package attack holds no code but tests: hostile clients against weir's program.
//
// Each test is named by what is defended. The clients write bytes to sockets, and what
// comes back is read by parsers of the tests' own, which are stricter than those of
// clients: a field, a header or an answer too many fails the test.
//
// Everything is on loopback and bounded in count and time. What a server may use is
// measured from outside: its memory, descriptors and goroutines.
//
// Begin reading with main_test.go, server_test.go, wire_test.go and smuggle_test.go.
package attack
