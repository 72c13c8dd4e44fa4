"""Executes notebooks that are kept as plain .py files, and stops at the first cell that raises.

Usage: python scripts/run_notebooks.py notebooks/*.py
"""

import sys
import time
from pathlib import Path

import jupytext
from nbclient import NotebookClient

CELL_LIMIT_S = 600


def main(paths: list[str]) -> None:
    """Execute each notebook in its own folder, as a reader would."""
    for path in map(Path, paths):
        started = time.perf_counter()
        notebook = jupytext.read(path)
        client = NotebookClient(
            notebook, timeout=CELL_LIMIT_S, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute()
        print(f"{path}: {len(notebook.cells)} cells in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
