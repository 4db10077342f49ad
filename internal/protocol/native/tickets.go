package native

import (
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

// tickets serves POST /v1/tickets: whoever says in the header Authorization who they
// are gets a ticket that says the same, once, in the query of another request.
func (h *Handler) tickets(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	if r.Method != http.MethodPost {
		return otherMethod(w, r)
	}
	q, err := query(r)
	if err == nil {
		err = onlyParams(q, nil)
	}
	if err != nil {
		return err
	}
	if r.Header.Get("Authorization") == "" { // a ticket for a ticket would never end
		return problem.Document{Status: http.StatusUnauthorized, Code: "no_token", Challenge: "Bearer",
			Detail: "tickets are for those who send the header Authorization"}
	}
	text, expires, err := v.Ticket(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, struct {
		Ticket  string    `json:"ticket"`
		Expires time.Time `json:"expires"`
	}{text, expires.UTC()})
	return nil
}
