"""How long whole commands take, from their start to their end, as a user waits for them: `python benchmarks/commands.py`."""

import resource
import subprocess
import sys
import tempfile
import time

LIMITS = {"verify": 20.0, "converge": 5.0, "map": 3.0, "datasheet bdia": 2.0, "list": 0.7}
"""Seconds on two idle cores, by what follows `bdia`. The table of `list` is the kept one, so its first run does not count."""


def seconds(command):
    """Return the seconds of a command and its processor time, its processes counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        line = [sys.executable, "-m", "bdia_numerics", *command.split()]
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def figures(rounds=3):
    """Return the least seconds of each command, and the least processor time: what else runs on a machine only adds."""
    seconds("list")
    runs = {command: [seconds(command) for _ in range(rounds)] for command in LIMITS}
    return {command: tuple(map(min, zip(*found, strict=True))) for command, found in runs.items()}


if __name__ == "__main__":
    for command, (wall, processor) in figures().items():
        print(f"bdia {command}: {wall:.2f} s (limit {LIMITS[command]:g}), {processor:.2f} s of processors")
