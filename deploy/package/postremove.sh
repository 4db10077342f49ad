#!/bin/sh
# After removing. Messages stay until the package is purged, which only dpkg knows.
set -e
if [ "$1" = purge ]; then
	rm -rf "${DPKG_ROOT:-}/var/lib/weir" "${DPKG_ROOT:-}/var/lib/private/weir"
fi
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
