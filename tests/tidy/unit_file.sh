#!/usr/bin/env bash
# unit_file.sh UNIT BINARY: what systemd finds wrong with the unit, were the binary installed.
set -euo pipefail
command -v systemd-analyze >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name=$(basename "$1")
sed "s#/usr/bin/ovation#$2#" "$1" >"$folder/$name"
systemd-analyze verify "$folder/$name" 2>"$folder/said" || true
if grep -F "${name%.service}" "$folder/said"; then exit 1; fi
