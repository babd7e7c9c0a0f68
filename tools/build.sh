#!/usr/bin/env bash
# Configures (once) and builds one preset. usage: build.sh PRESET [JOBS]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1 jobs=${2:-$(nproc)}
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"
cmake --build "build/$preset" -j "$jobs"
