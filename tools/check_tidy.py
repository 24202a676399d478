#!/usr/bin/env python3
"""check_tidy.py [--analyze] BUILD_DIR: clang-tidy (clang-19) over the sources of src/.

A file that passed is remembered by a hash of itself, of every header of this tree that it includes
(as ninja knows them) and of the rules, in the user's cache folder, so that an unchanged file costs
nothing, in another clone neither. --analyze adds clang's static analyzer and remembers nothing.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "warren-tidy"
ANALYZER = "--checks=clang-analyzer-*,-clang-analyzer-optin.core.EnumCastOutOfRange"


def headers_by_object(build):
    """Object file -> the headers of this tree that it depends on."""
    deps, current = {}, None
    text = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True).stdout
    for line in text.splitlines():
        if line and not line.startswith(" "):
            current = deps.setdefault(line.split(":")[0], [])
        elif line.strip():
            path = (build / line.strip()).resolve()
            if path.is_relative_to(ROOT) and current is not None:
                current.append(path)
    return deps


def key_of(path, headers):
    h = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for each in [path, *sorted(headers)]:
        h.update(str(each.relative_to(ROOT)).encode() + b"\0" + each.read_bytes())
    return h.hexdigest()


def check(build, path, key, analyze):
    # What clang says of headers that are GCC's or libseccomp's is not ours to mend.
    quiet = ("unknown-warning-option", "deprecated-declarations", "c99-extensions")
    command = ["clang-tidy-19", "--quiet", "-p", str(build), *(f"--extra-arg=-Wno-{name}" for name in quiet)]
    run = subprocess.run(command + ([ANALYZER] if analyze else []) + [str(path)], capture_output=True, text=True)
    if run.returncode == 0:
        if not analyze:
            (CACHE / key).touch()
        return None
    return run.stdout + ("" if "error:" in run.stdout else run.stderr)


def main() -> int:
    build, analyze = pathlib.Path(sys.argv[-1]).resolve(), "--analyze" in sys.argv
    CACHE.mkdir(parents=True, exist_ok=True)
    deps = headers_by_object(build)
    files, todo = 0, []
    for command in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(command["file"])
        if not path.is_relative_to(ROOT / "src") or path.stem.endswith(("_test", "_bench")) or not path.exists():
            continue
        files += 1
        key = key_of(path, deps.get(re.search(r" -o (\S+)", command["command"])[1], []))
        if analyze or not (CACHE / key).exists():
            todo.append((path, key))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [f for f in pool.map(lambda t: check(build, *t, analyze), todo) if f]
    print("\n".join(failures))
    print(f"tidy: {files} files, {len(todo)} looked at, {len(failures)} with findings")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
