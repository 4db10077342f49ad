// Package proxies holds no code but tests: weir's program behind real proxies.
//
// They are nginx, Caddy, HAProxy and Apache as Debian brings them, started with the
// files in deploy, the ones that docs/proxies.md explains. Only ports, paths and, where
// a test is about them, timeouts are replaced. A program that is missing fails the
// tests; "go run ./test" installs all.
//
// Begin reading with proxy_test.go. Each test starts a server and a proxy of its own
// for each kind of proxy, so all run at once.
package proxies
