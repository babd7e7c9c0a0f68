#!/usr/bin/env bash
# Formats every C++ source as .clang-format says, or with `--check` names what is not formatted. usage: format.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
arguments=(-i)
[ "${1:-}" = --check ] && arguments=(--dry-run --Werror)
find src include tests bench tools \( -name '*.cc' -o -name '*.h' \) -print0 | xargs -0 clang-format-14 "${arguments[@]}"
