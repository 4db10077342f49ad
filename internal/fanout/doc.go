// Package fanout delivers each message of a log to the streams that follow it.
//
// A [Feed] holds the newest entries for the loops. On each loop a [Table] knows
// the readers there. Readers with the same selector and wire form are a group:
// a message is encoded once, and one byte slice is written to every socket of
// every group that matches, with one system call each.
//
// A reader is a cursor, not a queue. While its socket takes everything it is
// live: its position is the table's, and it has no state of its own to touch. A
// reader whose socket is full leaves its group, and pulls from the log when there
// is room again, until it has caught up. Resuming is the same act: a new reader
// starts behind and catches up. So there is no seam between replay and live
// delivery at which a message could be lost or doubled.
//
// Everything but the Feed belongs to the loop's goroutine and takes no lock.
package fanout
