#!/bin/sh
# fuzz.sh [SECONDS]: builds the fuzz targets with clang-19 and runs each for a while (60 s).
# New inputs go to build/fuzz/found/NAME; findings (crash-*, …) to build/fuzz.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake --preset fuzz
cmake --build build/fuzz -j "$(nproc)" --target fuzz_programs
for target in build/fuzz/bin/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build/fuzz/found/$name"
  echo "== $name, $seconds s"
  "$target" -max_total_time="$seconds" -artifact_prefix=build/fuzz/ -print_final_stats=1 \
    "build/fuzz/found/$name" "fuzz/corpus/$name"
done
