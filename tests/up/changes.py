"""What differs between two snapshots of a host."""

import difflib


def changes(before, after):
    """The lines that are not the same, and where."""
    found = {}
    for key in before:
        lines = [value if isinstance(value, list) else str(value).splitlines()
                 for value in (before[key], after[key])]
        if lines[0] != lines[1]:
            found[key] = [line for line in difflib.ndiff(*lines) if line[0] in "+-"]
    return found
