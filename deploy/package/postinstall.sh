#!/bin/sh
# After installing. The service is neither enabled nor started: its settings come first.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers --root="${DPKG_ROOT:-/}" weir.conf
fi
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart weir.service || : # an upgrade; if it fails, the service says why
fi
