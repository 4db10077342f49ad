// Package sharedlog keeps an event log on a server that several nodes share, such as
// Redis, so that each of them can publish and all have the same messages in the same
// order.
//
// [Open] returns an [eventlog.Log] of an [Engine], which is a list of records with one
// special ability: a record is added only if the list's newest record is still the one
// that the adder knows. A record is what one node has stored in one go: entries with
// their positions and times, values, topics to forget.
//
// Every node takes all records in order and applies them to an [eventlog.Index] of its
// own. So all nodes know the same, reads are answered from memory, and the newest data
// is there, too; older data is loaded from the engine when somebody asks for it.
//
// One goroutine of a node writes. It takes all that waits, decides what becomes of it
// from what the node knows (positions, times, duplicates, values that are too large),
// and adds one record after the newest it knows. If another node was faster it applies
// that record, decides anew and tries again. Commit returns when the record is stored
// and applied here, so a node reads what it wrote.
//
// A record whose answer is lost is sent again, the same bytes at the same place, until
// it is known whether it was stored; it cannot be stored twice, because its place is
// taken by then. If that takes too long the publishers get [eventlog.ErrUnavailable].
//
// Records are deleted when no topic keeps any of their entries. Before that a
// checkpoint is stored, in records of the list like everything else: what a node must
// know of what is no longer there. See [Options] for what nodes should agree on.
package sharedlog
