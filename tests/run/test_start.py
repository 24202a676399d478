"""Prints how long a run takes to the command's first instruction. A figure, not a verdict."""

import statistics
import subprocess
import time


def start_ms(command, times):
    figures = []
    for _ in range(times):
        began = time.time_ns()
        done = subprocess.run([*command, "/usr/bin/date", "+%s%N"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        figures.append((int(done.stdout) - began) / 1e6)
    return figures


def test_start_time(lab):
    script = ("import sys; sys.path[:0] = [sys.argv[1]]; from test_start import start_ms; "
              "print(*start_ms(sys.argv[2:], 30))")
    here = __file__.rsplit("/", 1)[0]
    copy = lab.directory / "test_start.py"
    copy.write_text(open(f"{here}/test_start.py").read())
    copy.chmod(0o644)
    warren = str(lab.directory / "warren")
    for label, command in (("date alone", []), ("warren run", [warren, "run", "lab", "--"])):
        done = subprocess.run(lab.as_user("/usr/bin/python3", "-Bc", script, str(lab.directory),
                                          *command), capture_output=True, text=True)
        figures = list(map(float, done.stdout.split()))
        assert len(figures) == 30, done.stderr
        print(f"\n{label}: median {statistics.median(figures):.1f} ms, "
              f"{min(figures):.1f} to {max(figures):.1f} ms to its first instruction")
