#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (default 20) from its committed corpus. New inputs go to a scratch folder.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-$(nproc)} seconds=${FUZZ_SECONDS:-20}
[ -f build/fuzz/build.ninja ] || cmake --preset fuzz -DLOWRANK_TESTS=OFF
cmake --build build/fuzz -j "$jobs"
for target in build/fuzz/fuzz/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build/fuzz/corpus/$name"
  echo "fuzzing $name for $seconds s"
  log=build/fuzz/$name.log
  if ! "$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
    "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
done
