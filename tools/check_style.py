#!/usr/bin/env python3
"""Checks what a reader would otherwise have to: columns, banned calls, includes, secrets in the tree.

Few rules, all of them errors. Each rule names its reason beside it.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_COLUMNS = 100

# (pattern, why, folders below src/ where it is allowed)
BANNED = [
    (r"\bclock_gettime\b|\bgettimeofday\b|(system|steady|high_resolution)_clock",
     "read no clock outside src/os: take the time as an argument", {"os"}),
    (r"std::random_device|\bgetrandom\s*\(|(?<![\w:.>])s?rand\s*\(",
     "no random source outside src/os: take a base::RandomSource", {"os"}),
    (r"(?<![\w:.>])dup2?\s*\(", "use os::Fd::duplicate (close-on-exec from birth)", {"os"}),
    (r"(?<![\w:.>])system\s*\(|(?<![\w:.>])popen\s*\(", "no shell: use os::spawn", set()),
    (r"sleep_for|sleep_until|(?<![\w:.>])u?sleep\s*\(|(?<![\w:.>])nanosleep\s*\(", "wait for the thing itself, with a deadline", set()),
    (r"(?<![\w:.>])(strto(u?ll?|u?l|d)|ato[il])\s*\(", "use base::parse_number", set()),
    (r"std::shared_ptr|make_shared", "no shared ownership in the protocol",
     {m for m in "os engine gateway server client control netns hostnet apps plan store".split()}),
    (r"\bthrow\b\s*[^;]*;|\busing namespace\b", "we throw nothing and import no namespace", set()),
]
SECRETS = [
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\n[A-Za-z0-9+/]"),
    re.compile(r"(?i)\b(private|preshared)_?key\s*[=:]\s*\"?([A-Za-z0-9+/]{43}=|[0-9a-f]{64})"),
    re.compile(r"(?i)\bpassword\s*[=:]\s*['\"][^'\"$ ]{4,}"),
]
# Test inputs: made-up keys of repeated bytes, in files that no package ships.
NOT_SHIPPED = re.compile(r"^(fuzz/corpus|tests|sim)/|_(test|bench)\.cpp$")


def tracked(*patterns):
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                           cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def strip_comments(text):
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check_source(path, problems):
    name = path.relative_to(ROOT)
    text = path.read_text()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MAX_COLUMNS:
            problems.append(f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}")
    if path.suffix == ".hpp" and "#pragma once" not in text:
        problems.append(f"{name}: a header without #pragma once")
    parts = name.parts
    if parts[0] != "src" or path.stem.endswith(("_test", "_bench")):
        return
    text = re.sub(r"SCMP_SYS\(\w+\)", "", strip_comments(text))
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why, allowed in BANNED:
            if parts[1] not in allowed and re.search(pattern, line):
                problems.append(f"{name}:{number}: {line.strip()[:60]}: {why}")


def main() -> int:
    problems = []
    for path in tracked("*.cpp", "*.hpp"):
        check_source(path, problems)
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        name = str(path.relative_to(ROOT))
        if not NOT_SHIPPED.search(name) and any(secret.search(text) for secret in SECRETS):
            problems.append(f"{name}: holds a key or a password; nothing that we ship may")
    print("\n".join(problems) or "style: nothing to say")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
