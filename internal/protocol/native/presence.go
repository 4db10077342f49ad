package native

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/presence"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/topic"
)

// mostPresent is how many users, or topics, one answer lists.
const mostPresent = 1000

// presence serves /v1/presence?topic=PATTERN and /v1/presence/{topic...}.
func (h *Handler) presence(w http.ResponseWriter, r *http.Request, v *gate.Visitor) error {
	if r.Method != http.MethodGet {
		return otherMethod(w, r)
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	if name, ok := strings.CutPrefix(r.URL.Path, roomPath); ok {
		return h.room(w, v, q, name)
	}
	return h.rooms(w, v, q)
}

// room tells who reads a topic.
func (h *Handler) room(w http.ResponseWriter, v *gate.Visitor, q url.Values, name string) error {
	if err := onlyParams(q, nil); err != nil {
		return err
	}
	if err := topic.Check(name); err != nil {
		return problem.BadRequest("bad_topic", err.Error())
	}
	if err := v.MaySubscribe(gate.Presence + name); err != nil {
		return err
	}
	if h.opts.Presence == nil || !h.opts.Presence.Known(name) {
		return problem.Document{Status: http.StatusNotFound, Code: "no_presence",
			Detail: "who reads " + problem.Quote(name) + " is not known here: no pattern of presence.topics matches it"}
	}
	writeJSON(w, http.StatusOK, h.opts.Presence.Room(name, mostPresent))
	return nil
}

// rooms counts the readers of all topics that a pattern matches.
func (h *Handler) rooms(w http.ResponseWriter, v *gate.Visitor, q url.Values) error {
	if err := onlyParams(q, []string{"topic"}); err != nil {
		return err
	}
	pattern := "**"
	if q.Has("topic") {
		pattern = q.Get("topic")
	}
	if len(q["topic"]) > 1 {
		return problem.BadRequest("bad_parameter", "topic is given more than once: want one name or pattern")
	}
	if err := topic.CheckPattern(pattern); err != nil {
		return problem.BadRequest("bad_pattern", err.Error())
	}
	if err := v.MaySubscribe(gate.Presence + pattern); err != nil {
		return err
	}
	list, total := []presence.Count{}, 0
	if h.opts.Presence != nil {
		list, total = h.opts.Presence.Counts(pattern, mostPresent)
	}
	writeJSON(w, http.StatusOK, struct {
		Total  int              `json:"total"` // that match; at most mostPresent are listed
		Topics []presence.Count `json:"topics"`
	}{total, list})
	return nil
}
