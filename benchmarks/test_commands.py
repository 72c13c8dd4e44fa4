"""How long whole commands take, from their start to their end, as a user waits for them: seconds on all cores."""

import subprocess
import sys
import tempfile
import time

import pytest

COMMANDS = ("verify", "converge", "map", "datasheet bdia", "list")


def seconds(command):
    """Return the seconds of a command in an empty folder; the table of `bdia list` is kept from the run before."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "bdia_numerics", *command.split()]
        begin = time.perf_counter()
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - begin


@pytest.mark.parametrize("command", COMMANDS)
def test_seconds_of_a_command(figures, command):
    if command == "list":
        seconds(command)
    figures(lambda: {f"bdia {command}": seconds(command)})
