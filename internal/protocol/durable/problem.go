package durable

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/problem"
)

// Errors without particulars.
var (
	errNotFound = problem.Document{Status: http.StatusNotFound, Code: "not_found", Detail: "there is no such stream"}
	errDeleted  = problem.Document{Status: http.StatusGone, Code: "deleted", Detail: "the stream has been deleted; forks of it are still there"}
	errTrimmed  = problem.Document{Status: http.StatusGone, Code: "gone", Detail: "what follows this offset is no longer kept; offset=-1 reads what is"}
	errBusy     = problem.Document{Status: http.StatusServiceUnavailable, Code: "busy", Detail: "too many change this stream at once; nothing was stored"}
	errStopping = problem.Document{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "the server is stopping; try again in a moment"}
)

// asProblem turns any error into a problem. Errors it does not know are the
// server's fault, and their text is not for the client.
func asProblem(err error) problem.Document {
	p, known := errors.AsType[problem.Document](err)
	limit, large := errors.AsType[*hub.LimitError](err)
	switch {
	case known:
		return p
	case large:
		return problem.TooLarge(limit.What+" "+strconv.Itoa(limit.Value)+" "+limit.Unit+", limit "+strconv.Itoa(limit.Limit), limit.Limit)
	case errors.Is(err, eventlog.ErrTooLarge):
		return problem.Document{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "the messages together are more than the log stores in one go"}
	case errors.Is(err, hub.ErrFull):
		return problem.Document{Status: http.StatusInsufficientStorage, Code: "full", Detail: "there is no room for more; nothing was stored"}
	case errors.Is(err, hub.ErrFailed):
		return problem.Document{Status: http.StatusServiceUnavailable, Code: "failed", Detail: "the log has failed; nothing can be stored"}
	case errors.Is(err, hub.ErrUnavailable):
		return problem.Document{Status: http.StatusServiceUnavailable, Code: "log_unavailable", Detail: "the log does not answer; nothing is known to be stored"}
	case errors.Is(err, hub.ErrClosed):
		return errStopping
	}
	return problem.Document{Status: http.StatusInternalServerError, Code: "internal", Detail: "the server could not do this"}
}

func writeProblem(w http.ResponseWriter, err error) { problem.Write(w, asProblem(err)) }
