#!/usr/bin/env python3
"""Checks that every include follows the layers: module -> the modules it may use.

The table below is the map of ARCHITECTURE.md ("Modules"); a module's CMakeLists.txt must name the
same modules after USES.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY_USE = {
    "base": "",
    "wire": "base",
    "crypto": "base",
    "model": "base",
    "os": "base",
    "sandbox": "base",
    "wg": "base wire crypto",
    "pki": "base crypto model",
    "backup": "base crypto",
    "plan": "base model",
    "ipc": "base crypto",
    "store": "base crypto model",
    "store_sqlite": "base model store",
    "api": "base model",
    "node": "base wire crypto wg",
    "hostnet": "base model os plan ipc",
    "control": "base model plan store pki api",
    "document": "base model pki api",
    "netns": "base os crypto ipc",
    "hostlink": "base os crypto ipc netns services",
    "engine": "base os wire crypto ipc wg node sandbox",
    "proxy": "base os wire crypto ipc engine",
    "services": "base model os",
    "gateway": "base model os crypto ipc plan store pki backup hostnet services control",
    "server": "base model os crypto pki api control",
    "client": "base model os crypto api pki",
}
# Modules that may never see the operating system: bytes and time go in, bytes and deadlines out.
BANNED_HEADERS = re.compile(r"#include <(sys/|linux/|net/|netinet/|unistd|fcntl|poll|signal|thread|mutex)")
PURE = "base wire crypto model wg ipc pki plan store api node document control backup".split()
INCLUDE = re.compile(r'^\s*#include "([a-z_0-9]+)/')


def main() -> int:
    problems = []
    for module, text in MAY_USE.items():
        allowed = set(text.split()) | {module}
        folder = ROOT / "src" / module
        for path in sorted(folder.glob("*.[ch]pp")):
            is_test = path.stem.endswith(("_test", "_bench"))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                where = f"{path.relative_to(ROOT)}:{number}"
                found = INCLUDE.match(line)
                if found and found[1] in MAY_USE and found[1] not in allowed and not is_test:
                    problems.append(f"{where}: {module} may not include {found[1]}")
                if module in PURE and not is_test and BANNED_HEADERS.match(line):
                    problems.append(f"{where}: {module} is pure and may not include {line.strip()}")
        declared = re.search(r"USES ([a-z_ 0-9]*)", (folder / "CMakeLists.txt").read_text()) \
            if (folder / "CMakeLists.txt").exists() else None
        linked = set(declared[1].split()) if declared else set()
        if not linked <= allowed:
            problems.append(f"src/{module}/CMakeLists.txt links {sorted(linked - allowed)}")
    unknown = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()} - set(MAY_USE) - {"apps"}
    problems += [f"src/{name} is not in the table of tools/check_layers.py" for name in unknown]
    print("\n".join(problems) or f"layers: {len(MAY_USE)} modules in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
