#!/usr/bin/env bash
# Builds the web page into web/dist, from where cmake/embed.cmake takes it into the program. Does nothing when nothing
# has changed. usage: page.sh [test|journeys [ARGUMENTS]]
set -euo pipefail
cd "$(dirname "$0")/../web"
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
if [ ! -f dist/index.html ] || [ -n "$(find src public index.html vite.config.ts package.json -newer dist/index.html -print -quit)" ]; then
  npm run --silent build
fi
case "${1:-}" in
  test) npm run --silent test ;;
  journeys) shift; npm run --silent journeys -- "$@" ;;
esac
