"""Executes chapters that are kept as plain .py files, and keeps them with their outputs where the docs build renders them.

Usage: python scripts/run_notebooks.py notebooks/*.py

Each chapter runs in a kernel of its own, as many at once as there are cores; the first cell that raises stops it, and the exit
status is 1. `make` and CI run this before the docs; the docs build runs what is then missing or out of date, and nothing twice.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "notebooks"
EXECUTED = ROOT / "docs" / "notebooks"
CELL_LIMIT_S = 600
NAME = re.compile(r"\d\d_\w+\.py")  # 03_exact_inversion.py: what else lies beside the chapters is none
PICTURES = {"image/svg+xml", "image/png"}
WIDE = 400  # points: a wider picture keeps its size on a phone, and scrolls
ON_DISPLAY = {"numpy", "scipy", "matplotlib"}


def chapters(paths: Iterable[Path] | None = None) -> list[Path]:
    """Return those paths that are chapters; all chapters by default."""
    return sorted(path for path in paths or CHAPTERS.glob("*.py") if NAME.fullmatch(path.name))


def digest(path: Path) -> str:
    """Return what an execution depends on, as one hash: the chapter, the package, and the libraries that its numbers pass through."""
    files = sorted(p for p in (ROOT / "bdia_numerics").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    found = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in sorted(ON_DISPLAY)).encode())
    for file in (path, *files):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def execute(path: Path) -> str:
    """Execute a chapter in its own folder, as a reader would, and keep it with its outputs; say how long it took."""
    started = time.perf_counter()
    key, notebook = digest(path), jupytext.read(path)
    with TemporaryDirectory() as sockets:  # a kernel behind a TCP port could be spoken to by anyone on the machine
        private = {"transport": "ipc", "ip": f"{sockets}/kernel"} if os.name == "posix" else {}
        client = NotebookClient(
            notebook,
            timeout=CELL_LIMIT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            config=Config(KernelManager=private),
        )
        client.execute()
    notebook.metadata["digest"] = key
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the hours at which cells ran
        _describe_pictures(cell)
        if "hide-cell" in cell.metadata.get("tags", []):
            cell.metadata.setdefault("mystnb", {})["code_prompt_show"] = "Show the check"
        if cell.cell_type == "markdown":  # links that hold beside the chapters hold among the pages, too
            cell.source = re.sub(r"\]\((\d\d_\w+)\.py", r"](\1.ipynb", cell.source.replace("](../docs/", "](../"))
    EXECUTED.mkdir(exist_ok=True)
    partial = _executed(path).with_suffix(f".{os.getpid()}")
    nbformat.write(notebook, partial)
    partial.replace(_executed(path))
    return f"{path.name}: {len(notebook.cells)} cells in {time.perf_counter() - started:.1f} s"


def _describe_pictures(cell: nbformat.NotebookNode) -> None:
    """Tell the docs build a picture's text for those who do not see it: the representation in words that it came with."""
    for output in cell.get("outputs", []):
        if PICTURES & set(output.get("data", {})) and "text/plain" in output.data:
            size = re.search(r'width="([\d.]+)pt"', output.data.get("image/svg+xml", ""))
            shape = {"classes": "wide"} if size and float(size[1]) > WIDE else {}
            cell.metadata.setdefault("mystnb", {})["image"] = {"alt": output.data["text/plain"], **shape}


def _executed(path: Path) -> Path:
    return EXECUTED / f"{path.stem}.ipynb"


def is_fresh(path: Path) -> bool:
    """Say whether a chapter has been executed as it stands, with the package as it stands."""
    return _executed(path).exists() and nbformat.read(_executed(path), 4).metadata.get("digest") == digest(path)


def refresh() -> None:
    """Execute the chapters that are out of date, and drop those that are no more."""
    names = {path.stem for path in chapters()}
    for old in EXECUTED.glob("*"):
        if old.stem not in names:
            old.unlink()
    run(path for path in chapters() if not is_fresh(path))


def run(paths: Iterable[Path]) -> None:
    """Execute chapters, and print a line when one is done."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(execute, paths):
            print(line, flush=True)


if __name__ == "__main__":
    run(chapters(map(Path, sys.argv[1:])))
