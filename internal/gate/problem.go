package gate

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/problem"
)

// refuse counts a refusal, and words it. It returns nil for nil.
func (g *Gate) refuse(err error) error {
	if err == nil {
		return nil
	}
	g.refused.Add(1)
	return asProblem(err)
}

// retryAccess is what clients are told to wait when it could not be found out who
// they are.
const retryAccess = 5 * time.Second

// asProblem words an error of packages access and limit. It returns nil for nil.
func asProblem(err error) error {
	if e, ok := errors.AsType[*access.Error](err); ok {
		d := problem.Document{Status: e.Status(), Code: string(e.Code), Detail: e.Detail, Challenge: e.Challenge()}
		if d.Status == http.StatusServiceUnavailable {
			d.RetryAfter = retryAccess
		}
		return d
	}
	if e, ok := errors.AsType[*limit.Error](err); ok {
		return problem.Document{Status: e.Status, Code: e.Code, Detail: e.Error(), Limit: e.Limit, RetryAfter: e.RetryAfter}
	}
	return err
}

func tooManyStreams(open, most int) error {
	return problem.Document{Status: http.StatusServiceUnavailable, Code: limit.Overloaded, Limit: most, RetryAfter: 5 * time.Second,
		Detail: strconv.Itoa(open) + " streams, limit " + strconv.Itoa(most)}
}

func notPossible(detail string) error {
	return problem.Document{Status: http.StatusNotFound, Code: "not_found", Detail: detail}
}
