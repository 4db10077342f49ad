#!/bin/sh
# Builds the packages: deploy/package/build.sh [deb|rpm ...], both unless named.
#
# VERSION   version without a v; else what git describes
# ARCH      amd64 or arm64; else that of this machine
# OUT       directory for the packages; else bin
# PROGRAM   a program that has been built for ARCH; else it is built
set -eu
cd "$(dirname "$0")/../.."

: "${ARCH:=$(go env GOARCH)}" "${OUT:=bin}"
: "${VERSION:=$(git describe --tags --match 'v*' 2>/dev/null | sed s/^v// || true)}"
: "${VERSION:=0.0.0~$(git log -1 --format=%cd.%h --date=format:%Y%m%d%H%M%S)}"
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export VERSION ARCH STAGE

if [ -n "${PROGRAM:-}" ]; then
	cp "$PROGRAM" "$STAGE/weir"
else
	CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build -trimpath -ldflags=-s -o "$STAGE/weir" ./cmd/weir
fi
here=${PROGRAM:-$STAGE/here} # the program for this machine writes the rest
[ -x "$here" ] || go build -o "$here" ./cmd/weir
"$here" config init - >"$STAGE/weir.yaml"
for shell in bash zsh fish; do
	"$here" completion "$shell" >"$STAGE/completion.$shell"
done

mkdir -p "$OUT"
[ $# -gt 0 ] || set -- deb rpm
for packager; do
	go tool -modfile=tools/go.mod nfpm package --config deploy/package/nfpm.yaml --packager "$packager" --target "$OUT/"
done
