"""The source that a study computes with: the package's, and that of a user's own modules with what these import."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from bdia_numerics import names
from bdia_numerics.runs.files import fingerprint
from bdia_numerics.studies.study import Cell, Study, as_text, versions

PACKAGE = Path(__file__).resolve().parents[2]
NO_RESULTS = frozenset({"cli", "__main__.py", "pages", "plots", "claims", "__pycache__"})
"""Rooms of the package that no study computes with."""
INSTALLED = {"site-packages", "dist-packages"}
DIGITS = 16


def source(study: Study, config: Any) -> str:
    """Return digests of all source that a run computes with, as JSON by module: `source_of` what its configuration names."""
    return source_of(study, _texts(asdict(config)))


def source_of(study: Study, texts: Iterable[str]) -> str:
    """Return digests of the source behind some texts, as JSON by module.

    They are the package; the file of `compute`, if that is elsewhere; the file of every `module:object` among the texts; and what
    these import, directly or not, outside Python's library and site-packages.
    """
    found = {"bdia_numerics": _package()}
    own = inspect.getsourcefile(inspect.unwrap(study.compute)) if inspect.isfunction(study.compute) else None
    waiting: list[tuple[str, Path]] = []
    if own is not None and Path(own).is_file() and _outside(Path(own)):  # a notebook's cell has no file
        waiting.append((Path(own).name, Path(own)))
    for text in texts:
        files = _files(names.module_of(text) or "")
        if files:
            with suppress(Exception):  # whatever a cell would say of it
                importlib.import_module(files[-1][0])
        waiting += files
    while waiting:
        name, path = waiting.pop()
        if name not in found:
            content = path.read_bytes()
            found[name] = _loaded(name, hashlib.sha256(content).hexdigest()[:DIGITS])
            if path.suffix == ".py":
                for imported in _imports(content, name, path.name == "__init__.py"):
                    waiting += _files(imported)
    return json.dumps(found, sort_keys=True)


def content(study: Study, config: Any) -> Callable[[Cell], str]:
    """Return what gives a task the digest of all that its values depend on, apart from its coordinates.

    That is the configuration without its `lists`, the versions of packages, and the source of what the two and the cell name, so that an
    edited solver concerns its own cells alone.
    """
    head = as_text(config, study.lists)
    general = list(_texts(json.loads(head)))

    @cache
    def digest(named: tuple[str, ...]) -> str:
        parts = (head, versions(), source_of(study, (*general, *named)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def of(cell: Cell) -> str:
        return digest(tuple(x for x in cell.values() if isinstance(x, str) and names.module_of(x)))

    return of


_SEEN: dict[str, tuple[Any, str]] = {}


def _loaded(name: str, digest: str) -> str:
    """Return the digest of a module as this process runs it: that of its file when it was first met, until it is imported again."""
    place = getattr(sys.modules.get(name), "__spec__", None)  # a reload makes another one
    known = _SEEN.get(name)
    if place is not None and known is not None and (known[0] is place or known[0] is None):
        digest = known[1]
    _SEEN[name] = place, digest
    return digest


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _files(name: str) -> list[tuple[str, Path]]:
    """Return a module with the packages that it is in, each with its file; nothing for what is installed or not there."""
    found, parts = [], name.split(".")
    for k in range(1, len(parts) + 1):
        module, place = ".".join(parts[:k]), None
        with suppress(ImportError, AttributeError, ValueError):
            place = importlib.util.find_spec(module)
        if place is None or (place.origin is None and place.submodule_search_locations is None):
            break
        if place.origin is None:  # a folder without __init__.py
            continue
        if not Path(place.origin).is_file() or not _outside(Path(place.origin)):
            break
        found.append((module, Path(place.origin)))
    return found


def _outside(path: Path) -> bool:
    """Say whether a file is neither in this package, nor in Python's library, nor installed."""
    path = path.resolve()
    library = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    return not (INSTALLED & set(path.parts) or any(path.is_relative_to(folder) for folder in (PACKAGE, *library)))


def _imports(content: bytes, name: str, is_package: bool) -> Iterator[str]:
    """Yield what a module's source imports, anywhere in it; of `from a import b` also a.b, which may be a module."""
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with suppress(ImportError, ValueError):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _package() -> str:
    return fingerprint(PACKAGE, without=NO_RESULTS)[:DIGITS]
