#!/bin/sh
# unpack_packages.sh FOLDER PACKAGE...: packages of this machine's own suite and whatever they need
# that is not installed, unpacked into FOLDER. Nothing is installed: no service of theirs is enabled
# or started. Programs need LD_LIBRARY_PATH with FOLDER's library folders.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
rm -rf "$folder/cache"
mkdir -p "$folder/cache/partial"
apt-get update -qq
apt-get install -qq -y --no-install-recommends --download-only --reinstall \
  -o Dir::Cache::archives="$folder/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@" >/dev/null
for package in "$folder"/cache/*.deb; do
  dpkg -x "$package" "$folder"
done
for package in "$@"; do
  echo "$package: $(dpkg-deb -f "$folder/cache/${package}"_*.deb Version)"
done
