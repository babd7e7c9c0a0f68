#!/usr/bin/env bash
# Address + undefined-behaviour and thread sanitizers over the rooms above the engine line (libtorch is not
# instrumented), running their fast tests.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-$(nproc)}
for preset in asan tsan; do
  [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" -DLOWRANK_ENGINE=OFF
  cmake --build "build/$preset" -j "$jobs"
  ctest --test-dir "build/$preset" --output-on-failure -j1 -L fast -E 'layers|formatting'
done
