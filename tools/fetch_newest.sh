#!/bin/sh
# fetch_newest.sh FOLDER PACKAGE...: the newest versions of packages from Debian's unstable suite,
# unpacked into FOLDER (FOLDER/usr/bin/…). Uses an apt state of its own, derived from this machine's
# sources, and installs nothing.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
packages=$*
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/parts"
uri=$({ sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
        sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
      } 2>/dev/null | grep -v security | head -n 1)
[ -n "$uri" ] || { echo "fetch_newest: no package source found on this machine" >&2; exit 1; }
echo "deb $uri unstable main" > "$folder/apt/sources.list"
set -- -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts="$folder/apt/parts" \
  -o Dir::State::Lists="$folder/apt/lists" -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User=root
apt-get "$@" -qq update
for package in $packages; do
  (cd "$folder" && rm -f "${package}"_*.deb && apt-get "$@" -qq download "$package")
  dpkg -x "$folder/${package}"_*.deb "$folder"
  echo "$package: $(dpkg-deb -f "$folder/${package}"_*.deb Version)"
done
rm -rf "$folder/apt"
