"""Every chapter runs from its first cell to its last, its checks included: `pytest notebooks`."""

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(
    str(Path(__file__).parent.parent / "scripts" / "run_notebooks.py")
)


@pytest.mark.parametrize("path", SCRIPT["chapters"](), ids=lambda path: path.stem)
def test_chapter_runs(path):
    SCRIPT["execute"](path)
