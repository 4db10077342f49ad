// Package feeds holds no code but tests: of the examples of feeds, with real servers.
//
// Each folder of examples/feeds has a settings file and two programs that send, whose
// first lines say how to try them. The tests do what those lines say: they start the
// server, weir with the settings, and a reader of the URL, run the programs, and count
// what arrives. The snippets of docs/feeds.md are run in the same way. Nothing is
// replaced but addresses. Kafka is kfake; the others are the servers that Debian has, and
// NATS is the one that tools/go.mod pins.
//
// Begin reading with examples_test.go. A folder without a row there fails the tests, and
// so does a program that is missing; "go run ./test" installs all.
package feeds
