// Package packages holds no code but tests: the packages that users install, built,
// installed and purged, and the systemd unit in them, looked at by systemd itself.
//
// They are installed below a directory of the test, which changes nothing of the
// machine. A program that is missing fails the tests; "go run ./test" installs all.
package packages
