#!/usr/bin/env bash
# What tests/once.py promises: the same inputs are not asked twice, others are, a failure is never kept.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
export DEV_PASSED=$folder/passed DEV_MACHINE=a
program=$folder/program
once() { python3 "$(dirname "${BASH_SOURCE[0]}")/../once.py" --uses "$program" -- "$@"; }
ran() { local n; n=$(wc -l <"$folder/ran"); [ "$n" = "$1" ] || { echo "$2: ran $n times, not $1"; exit 1; }; }
printf '#!/bin/sh\necho x >>%s/ran\nexit $1\n' "$folder" >"$program"; chmod +x "$program"
: >"$folder/ran"
once "$program" 0; ran 1 "first"
once "$program" 0 | grep -q 'same inputs'; ran 1 "again"
DEV_MACHINE=b once "$program" 0; ran 2 "other packages"
OVATION_BIN=other once "$program" 0; ran 3 "another server"
echo '# longer' >>"$program"; once "$program" 0; ran 4 "another program"
for n in 5 6; do
  code=0; once "$program" 3 || code=$?
  [ "$code" = 3 ] || { echo "the code was $code, not 3"; exit 1; }
  ran $n "a failure"
done
# What passed and then fails is asked again.
flaky=$folder/flaky; printf '#!/bin/sh\n[ ! -e %s/broken ]\n' "$folder" >"$flaky"; chmod +x "$flaky"
once "$flaky"; touch "$folder/broken"
! DEV_ASK_ALL=1 once "$flaky" || { echo "--all did not ask"; exit 1; }
! once "$flaky" || { echo "an old pass hid a failure"; exit 1; }
env -u DEV_PASSED python3 "$(dirname "${BASH_SOURCE[0]}")/../once.py" --uses "$program" -- "$program" 0; ran 7 "asked for all"
