#!/usr/bin/env python3
"""check_tidy.py [--all] BUILD_DIR: clang-tidy (clang-19) over the sources that changed since it last passed.

A file that passed is remembered in BUILD_DIR/tidy by the hash of its preprocessed dependencies'
contents, so an unchanged file costs nothing.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def digest(path, headers):
    h = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    h.update(headers)
    h.update(path.read_bytes())
    return h.hexdigest()


def check(build, path, key):
    run = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build),
                          "--extra-arg=-Wno-unknown-warning-option", str(path)],
                         capture_output=True, text=True)
    if run.returncode == 0:
        (build / "tidy" / key).touch()
        return None
    return run.stdout + ("" if "error:" in run.stdout else run.stderr)


def main() -> int:
    build = pathlib.Path(sys.argv[-1]).resolve()
    (build / "tidy").mkdir(exist_ok=True)
    headers = hashlib.sha256(b"".join(p.read_bytes() for p in sorted((ROOT / "src").rglob("*.hpp"))))
    commands = json.loads((build / "compile_commands.json").read_text())
    files = sorted({pathlib.Path(c["file"]) for c in commands})
    files = [f for f in files if f.is_relative_to(ROOT / "src")
             and not f.stem.endswith(("_test", "_bench")) and f.exists()]
    todo = []
    for path in files:
        key = digest(path, headers.digest())
        if "--all" in sys.argv or not (build / "tidy" / key).exists():
            todo.append((path, key))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [f for f in pool.map(lambda t: check(build, *t), todo) if f]
    print("\n".join(failures))
    print(f"tidy: {len(files)} files, {len(todo)} looked at, {len(failures)} with findings")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
