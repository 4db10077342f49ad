package problem

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// ReadBody returns the whole body of a request, which may have up to limit bytes and
// take up to timeout to arrive; 0 is no limit of time. A body that says that it is too
// large is not read. what names it in errors, which are Documents.
func ReadBody(w http.ResponseWriter, r *http.Request, what string, limit int, timeout time.Duration) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, TooLarge(fmt.Sprintf("%s is %d bytes, limit %d", what, r.ContentLength, limit), limit)
	}
	defer hurry(w, r, timeout)()
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, TooLarge(fmt.Sprintf("%s is more than %d bytes, the limit", what, limit), limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, TooSlow(what, timeout)
	}
	if err != nil {
		return nil, BadRequest("bad_body", "the body ended early, after "+strconv.Itoa(len(data))+" bytes")
	}
	return data, nil
}

// hurry bounds the time that reading a body may take, until the returned function is
// called.
func hurry(w http.ResponseWriter, r *http.Request, timeout time.Duration) (end func()) {
	if timeout == 0 || r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(timeout)) != nil {
		return func() {} // what serves the request has no deadlines
	}
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}

// TooSlow is a problem with the time that something takes to arrive.
func TooSlow(what string, limit time.Duration) Document {
	return Document{Status: http.StatusRequestTimeout, Code: "too_slow", Detail: what + " took more than " + limit.String() + " to arrive, the limit"}
}
