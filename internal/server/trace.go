package server

import (
	"fmt"
	"log/slog"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/tracing"
)

// openTraces starts what sends spans of publishing, or returns nil if nobody wants any.
func openTraces(s *config.Settings, log *slog.Logger) (*tracing.Tracer, error) {
	t, err := tracing.Open(tracing.Options{
		Endpoint: s.Trace.Endpoint, Ratio: s.Trace.Ratio, Streams: s.Durable.Prefix, Version: readBuild().Version,
		Report: reporter(log, "trace.endpoint", "the receiver of traces"),
	})
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	return t, nil
}
