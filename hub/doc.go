// Package hub is publish and subscribe over HTTP streams, with history.
//
// A [Hub] has topics. [Hub.Publish] puts a message into the log, which gives it a
// position, and every stream that follows one of its topics gets it.
// [Hub.Handler] serves Server-Sent Events for the topics that a request names;
// [Hub.Subscribe] makes a stream of the program's own follow topics;
// [Hub.Follow] reads them inside the program.
//
//	h, err := hub.New(hub.Options{})
//	mux.Handle("/events", h.Handler())
//	h.Publish(ctx, hub.Message{Topics: []string{"greetings"}, Data: []byte("hello")})
//
// Topics are paths like "orders/eu/17"; a subscription may use "*" for one level
// and "**" at the end for any depth.
//
// Every reader gets the messages of a topic in log order, each at most once per
// connection. A reader that comes back with the ID of the last message it saw
// gets exactly what it missed, or a gap notice ([Gap]) says what is lost.
// Publishing never waits for a reader.
//
// [Hub.EachReader] finds the streams that follow topics.
//
// All methods of a Hub may be called at once.
package hub
