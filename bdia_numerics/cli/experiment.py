"""What the scripts of experiments/ do: run one study as `bdia sweep` does, and make something of its dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xarray import Dataset


def main(name: str, use: Callable[[Dataset], None] | None = None) -> None:
    """Run the study `name` into --out (results/NAME by default), and hand its dataset to `use`; ends with the exit status.

    Other arguments of the command line are those of `bdia sweep`. Killed and called again, it goes on.
    """
    from bdia_numerics.cli import app
    from bdia_numerics.studies import load

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out", type=Path, default=Path("results") / name)
    given, others = parser.parse_known_args()
    found = given.out / f"{name}.nc"
    try:
        app(["sweep", "--study", name, "--out", str(given.out), *others])
        status: int | str | None = 0
    except SystemExit as ended:  # as a command does: an option that it has not is said in words
        status = ended.code
    if use and not status and found.is_file() and not {"--dry-run", "--tasks", "--help", "-h"} & set(others):
        use(load(found))
    sys.exit(status)
