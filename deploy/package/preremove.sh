#!/bin/sh
# Before removing: dpkg says "remove", or "upgrade"; rpm how many versions stay.
set -e
case "$1" in
remove | 0)
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now weir.service
	fi
	;;
esac
