package presence

import "context"

// Tell publishes that a user has come, or gone, as a node does that does not know what
// another has told.
func (p *Presence) Tell(ctx context.Context, w Who, came bool) error {
	return p.tell(ctx, []change{{w, came, event{Topic: w.Topic, User: w.User}.data()}})
}
