#!/bin/sh
# pack_portable.sh BIN_DIR OUT_DIR: packs the member's programs into one relocatable folder, for any
# x86-64 Linux, and prints the archive's path. Refuses programs that need a dynamic loader.
set -eu
bin=$1 out=$2
here=$(cd "$(dirname "$0")/.." && pwd)
version=$("$bin/warren" --version | cut -d' ' -f2)
name=warren-$version-linux-x86_64
mkdir -p "$out"
work=$(mktemp -d "$out/.pack-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/man"
for program in warren warren-engine; do
  if readelf -lW "$bin/$program" | grep -q INTERP; then
    echo "pack_portable.sh: $bin/$program is linked dynamically; configure with WARREN_STATIC=ON" >&2
    exit 1
  fi
  strip -o "$work/$name/$program" "$bin/$program"
done
cp "$here/LICENSE" "$work/$name/"
cp "$here/packaging/portable.md" "$work/$name/README.md"
cp "$here/docs/man/warren.1" "$here/docs/man/warren-engine.8" "$work/$name/man/"
chmod -R u=rwX,go=rX "$work/$name"
# The same input gives the same bytes.
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner \
  --mtime="@${SOURCE_DATE_EPOCH:-$(stat -c %Y "$here/CHANGELOG.md")}" -cf - "$name" |
  gzip -n >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
