// Package disklog keeps an event log in a directory, so that what was acknowledged
// survives the process and the machine.
//
// [Open] returns an [eventlog.Log]. Entries lie in one file, a B+tree of bbolt, by
// position. An [eventlog.Index] in memory knows where each entry is, what each
// topic keeps and what it has lost, and holds the data of the newest; older data is
// read from the file when somebody asks for it.
//
// One goroutine writes. It takes all that waits, gives positions and times, and
// stores it in one transaction: the more publishers wait, the more share the price
// of one fsync. Readers see an entry when it is as safe as its [Durability] says,
// never before, so no position that anybody has seen is issued again.
//
// What no topic keeps any more is deleted a little at a time, in the transactions
// that store new entries, and when there are none, in some of its own.
//
// [OpenReader], [Verify] and [Compact] are for a log that no server has open.
package disklog
