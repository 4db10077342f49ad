package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/server"
)

// Exit codes. Those above 64 are the ones of sysexits.h.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitUnavailable  = 69 // nobody answers, or the address is taken
	exitTemporary    = 75 // try again later
	exitNoPermission = 77
	exitConfig       = 78
	exitInterrupted  = 130 // by a signal, as shells count
)

// errInterrupted ends a command whose context has ended. Alone it is not reported.
var errInterrupted = errors.New("interrupted")

// windowsAddressInUse is WSAEADDRINUSE, which package syscall does not map.
const windowsAddressInUse = syscall.Errno(10048)

// exitCode is the only place that knows which error means which code.
func exitCode(err error) int {
	var wrong *usageError
	var refused *problem
	var lost *connectError
	var apart *server.JoinError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &wrong):
		return exitUsage
	case len(config.Errors(err)) > 0:
		return settingsCode(config.Errors(err))
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, windowsAddressInUse), errors.Is(err, syscall.EADDRNOTAVAIL):
		return exitUnavailable
	case errors.As(err, &lost), errors.As(err, &apart):
		return exitUnavailable
	case errors.As(err, &refused) && refused.temporary(), errors.Is(err, disklog.ErrInUse):
		return exitTemporary
	case errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden):
		return exitNoPermission
	case errors.Is(err, fs.ErrPermission):
		return exitNoPermission
	}
	return exitFailure
}

// settingsCode is exitUsage if only flags are malformed, else exitConfig.
func settingsCode(mistakes []*config.Error) int {
	for _, e := range mistakes {
		if e.Origin.Kind != config.FromFlag || e.Conflict {
			return exitConfig
		}
	}
	return exitUsage
}

// A usageError says that the command was called wrongly.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// flagError turns what pflag says into one line with a suggestion.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usage("%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if shorts := unknown.GetSpecifiedShortnames(); shorts != "" {
		return usage("unknown flag -%s", shorts)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	name := unknown.GetSpecifiedName()
	if best := config.Closest(name, names); best != "" {
		return usage("unknown flag --%s; did you mean --%s?", name, best)
	}
	return usage("unknown flag --%s", name)
}
