#!/bin/sh
# check_headers.sh CXX: every header of src/ compiles on its own.
set -eu
cd "$(dirname "$0")/.."
cxx=${1:-g++}
git ls-files --cached --others --exclude-standard 'src/*.hpp' 'sim/*.hpp' | xargs -P "$(nproc)" -I{} sh -c '
  printf "#include \"%s\"\n" "{}" | '"$cxx"' -std=c++23 -fsyntax-only -D_GLIBCXX_ASSERTIONS \
    -DWARREN_VERSION=\"0\" -Isrc -I. -x c++ - || { echo "{}: does not compile on its own"; exit 255; }'
echo "headers: each compiles on its own"
