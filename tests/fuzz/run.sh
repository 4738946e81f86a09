#!/usr/bin/env bash
# run.sh TARGET SECONDS PRESET: one fuzz target, from its seeds and from what var/fuzz/ has kept. Prints one line; a finding
# fails and stays under var/fuzz/. PRESET: asan (built for the tests anyway) or fuzz (optimised, for long runs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$1 seconds=$2 preset=$3
binary=build/$preset/fuzz_$target corpus=var/fuzz/$target log=var/fuzz/$target.log
[ -x "$binary" ] || { echo "There is no $binary yet: ./dev build $preset" >&2; exit 1; }
mkdir -p "$corpus"
before=$(find "$corpus" -type f | wc -l)
symbolizer=$(command -v llvm-symbolizer-19 llvm-symbolizer | head -1 || true)
[ -z "$symbolizer" ] || export ASAN_SYMBOLIZER_PATH=$symbolizer
code=0
UBSAN_OPTIONS=print_stacktrace=1 "$binary" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -artifact_prefix="var/fuzz/$target-" \
  "$corpus" "tests/fuzz/seeds/$target" >"$log" 2>&1 </dev/null || code=$?
stat() { sed -n "s/^stat::$1: *//p" "$log"; }
edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6- || true)
printf '%-14s %10s executions  %7s a second  %6s edges  %5d new inputs\n' "$target" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" "${edges:-0}" $(($(find "$corpus" -type f | wc -l) - before))
[ $code = 0 ] && exit 0
grep -aE 'ERROR|runtime error|property|SUMMARY' "$log" | head -5 >&2 || true
found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
echo "fuzz_$target failed on ${found:-an input that was not kept}; the whole log is $log. Again: $binary ${found:-$corpus}" >&2
exit 1
