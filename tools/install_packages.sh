#!/bin/sh
# install_packages.sh LIST: installs the Debian packages of a list that are not installed yet.
set -eu
list=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1")
missing=
for package in $list; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  case $status in ii*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "install_packages: these packages are missing and only root can install them:$missing" >&2
  echo "  hint: run 'apt-get install$missing' as root, then try again" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
apt-get install -y -qq --no-install-recommends $missing
