// Package chaos holds no code but tests: weir's program, with a log on disk, is
// damaged in all ways that a test can bring about.
//
// It is killed under load, its file is torn and garbled, its disk runs full, the
// connections of its readers are cut, and thousands of them come back at once. A
// ledger holds what publishers and readers were told, and nothing that happens later
// may make it untrue.
//
// The tests take about a minute. With WEIR_CHAOS=10m, which "make chaos" sets, they
// are larger, and those that go round and round do so for about that long in all.
// They log their figures: see them with -v.
//
// What a killed process has given to the system is not lost, so nothing here shows
// that fsync is called in the right places. That would take a machine that loses its
// power. What a transaction leaves behind when it is cut short is made by hand, in
// damage_test.go.
//
// Begin reading with main_test.go, server_test.go, ledger_test.go and kill_test.go.
package chaos
