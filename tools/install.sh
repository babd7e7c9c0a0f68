#!/usr/bin/env bash
# Installs what build.sh built under PREFIX, or takes it away again. With sudo where PREFIX cannot be written, and only
# for the copying. $DESTDIR is put before PREFIX, as packagers want it. usage: install.sh BUILD PREFIX [--uninstall]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath -m -- "$1") prefix=$(realpath -m -- "$2") what=${3:-}
target=${DESTDIR:-}$prefix
manifest=$target/share/lowrank/installed-files

as_owner() {
  local folder=$target
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  if [ -w "$folder" ]; then "$@"; else sudo "$@"; fi
}

if [ "$what" = --uninstall ]; then
  [ -f "$manifest" ] || { echo "uninstall: LowRank is not installed in $target" >&2; exit 1; }
  while IFS= read -r file; do as_owner rm -f -- "$target/$file"; done <"$manifest"
  as_owner rm -f -- "$manifest"
  as_owner find "$target/share/lowrank" "$target/lib/lowrank" "$target/lib/cmake/LowRank" "$target/include/lowrank" "$target/share/doc/lowrank" -depth -type d -empty -delete 2>/dev/null || true
  echo "LowRank was removed from $target; your own data remains in ~/.local/share/lowrank, ~/.local/state/lowrank, ~/.cache/lowrank and the data folder (~/lowrank unless you chose another)."
  exit 0
fi

# Staged in the build folder first, so that nothing there ends up belonging to root.
stage=$build/stage
rm -rf "$stage"
DESTDIR=$stage cmake --install "$build" --prefix / >/dev/null
(cd "$stage" && find . -type f -o -type l | sed 's|^\./||' | sort >"$build/installed-files")
install -D -m 644 "$build/installed-files" "$stage/share/lowrank/installed-files"
while IFS= read -r file; do
  # A file in use is replaced, not written over.
  if [ -L "$stage/$file" ]; then
    as_owner mkdir -p -- "$(dirname "$target/$file")"
    as_owner ln -sfn -- "$(readlink "$stage/$file")" "$target/$file.new"
  else
    as_owner install -D -m "$(stat -c %a "$stage/$file")" -- "$stage/$file" "$target/$file.new"
  fi
  as_owner mv -fT -- "$target/$file.new" "$target/$file"
done <"$build/installed-files"
as_owner install -D -m 644 -- "$build/installed-files" "$manifest"
rm -rf "$stage"
echo "LowRank is installed: $target/bin/lowrank"
case ":$PATH:" in *":$prefix/bin:"*) ;; *) echo "$prefix/bin is not in your PATH: export PATH=\"$prefix/bin:\$PATH\"" ;; esac
