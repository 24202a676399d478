#!/bin/sh
# check_format.sh: every C++ file is as clang-format leaves it.
set -eu
cd "$(dirname "$0")/.."
git ls-files --cached --others --exclude-standard '*.cpp' '*.hpp' | while read -r file; do
  [ -f "$file" ] && printf '%s\n' "$file"
done | xargs clang-format-19 --dry-run -Werror 2>&1 | grep -E 'error:' | cut -d: -f1 | sort -u |
  sed 's/$/: not formatted; run: make format/' | { ! grep .; }
