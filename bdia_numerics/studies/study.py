"""What a study is: cells that are computed one by one, each by itself, and the dataset that they make."""

from __future__ import annotations

import itertools
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bdia_numerics.texts import shown

if TYPE_CHECKING:
    from xarray import Dataset

Scalar = str | int | float | bool
Cell = Mapping[str, Scalar]
"""Where a cell stands: a coordinate of each dimension. Plain values, so that a cell is the same text in every process."""


@dataclass(frozen=True)
class Variable:
    """One result of a cell.

    Attributes
    ----------
    long_name : str
        What it is, as a figure's axis has it.
    units : str
        "1" for a number without.
    dims : tuple of str
        Dimensions within a cell; () for a number or a text.
    whole : bool
        Whether it counts: a dataset holds it in floats, for the sake of NaN, and a record in an int.
    """

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Study:
    """A function from a configuration to a dataset, in cells.

    Attributes
    ----------
    name, title : str
        A word, for files and the command line; a line.
    config : type
        A frozen dataclass with a default for every field, of plain values and tuples of them; a field `seed` is the seed.
    dims : callable
        config -> coordinates by dimension, in order.
    compute : callable
        (config, cell) -> values by variable. A pure function of both, since any process may run it, in any order, twice.
    variables : dict
        Of the values.
    inner : callable
        config -> coordinates by dimension within a cell.
    wanted : callable
        (config, cell) -> whether that cell is run; where not, numbers are NaN and texts empty.
    parts : callable
        config -> in how many parts a cell is computed, each a task that is kept when it is finished, and for `compute` a cell with its
        number under "part"; 0 for cells that are computed as they are.
    join : callable, optional
        (config, cell, values of its parts in order, read one at a time) -> values by variable.
    finish : callable
        Dataset -> dataset: what needs several cells.
    caption : str
        Format of the line above a table, of fields of the configuration and of variables that all cells share.
    columns : dict
        Head of a column of the table -> format of its texts, of fields of a row; without, the heads are the fields.
    rows : callable, optional
        Dataset -> rows of the table, each values by field; without, those of `studies.records` by `columns`.
    figure : str
        "module:function" of `bdia_numerics.plots`, which takes the dataset.
    said : callable
        (what `studies.records.data` returns without it, dataset) -> what the study's command prints as JSON.
    """

    name: str
    title: str
    config: type[Any]
    dims: Callable[[Any], Mapping[str, Sequence[Scalar]]]
    compute: Callable[[Any, Cell], Mapping[str, Any]]
    variables: Mapping[str, Variable]
    inner: Callable[[Any], Mapping[str, Sequence[Scalar]]] = field(default=lambda config: {})
    wanted: Callable[[Any, Cell], bool] = field(default=lambda config, cell: True)
    parts: Callable[[Any], int] = field(default=lambda config: 0)
    join: Callable[[Any, Cell, Iterator[Mapping[str, Any]]], Mapping[str, Any]] | None = None
    finish: Callable[[Any], Any] = field(default=lambda dataset: dataset)
    caption: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Callable[[Any], Iterable[Mapping[str, Any]]] | None = None
    figure: str = ""
    said: Callable[[dict[str, Any], Any], dict[str, Any]] = field(default=lambda data, dataset: data)


def coordinates(study: Study, config: Any) -> Mapping[str, Sequence[Scalar]]:
    """Return the coordinates of the cells by dimension; ValueError if a dimension has one of them twice."""
    dims = study.dims(config)
    for name, values in dims.items():
        if len(set(values)) < len(values):
            twice = next(v for k, v in enumerate(values) if v in values[:k])
            raise ValueError(f"{name}={shown(twice)} occurs twice: list it once")
    return dims


def cells(study: Study, config: Any) -> Iterator[Cell]:
    """Yield the cells that are run, the last dimension fastest; ValueError as `coordinates`."""
    dims = coordinates(study, config)
    for values in itertools.product(*dims.values()):
        cell = dict(zip(dims, values, strict=True))
        if study.wanted(config, cell):
            yield cell


def parts_of(study: Study, config: Any, cell: Cell) -> list[Cell]:
    """Return what a cell is computed in: itself, or its parts."""
    return [{**cell, "part": k} for k in range(study.parts(config))] or [cell]


def work(study: Study, config: Any) -> list[Cell]:
    """Return all tasks of a study; ValueError as `coordinates`."""
    return [task for cell in cells(study, config) for task in parts_of(study, config, cell)]


def key(cell: Cell) -> str:
    """Return the one text of a cell: JSON, its names sorted; TypeError for a coordinate that is not a plain value."""
    return json.dumps(dict(cell), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def assemble(
    study: Study,
    config: Any,
    results: Iterable[tuple[Cell, Mapping[str, Any]]],
    *,
    made_by: Mapping[str, Any] | None = None,
) -> Dataset:
    """Return the dataset of results, which may come in any order and be incomplete.

    A variable has the common dtype of its values, and the numbers of cells that are missing are NaN; it is left out if no cell has
    it and a dimension of its own has no coordinates. `made_by` takes the place of the provenance of now. ValueError for a value that the
    study does not list.
    """
    from xarray import Dataset

    dims, inner = study.dims(config), study.inner(config)
    place = {name: {value: k for k, value in enumerate(values)} for name, values in dims.items()}
    shape = tuple(map(len, dims.values()))
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for cell, values in results:
        at = tuple(place[name][cell[name]] for name in dims)
        for name, value in values.items():
            new = np.asarray(value)
            if name not in arrays:
                if name not in study.variables:
                    raise ValueError(f"study {study.name} computes {name!r}: list it in its variables")
                arrays[name] = _blank((*shape, *new.shape), new.dtype)
            elif (common := np.result_type(arrays[name], _with_nan(new.dtype))) != arrays[name].dtype:
                arrays[name] = arrays[name].astype(common)
            arrays[name][at] = new if new.ndim else new.item()
    for name, v in study.variables.items():
        if name not in arrays and all(dim in inner for dim in v.dims):
            arrays[name] = _blank((*shape, *(len(inner[dim]) for dim in v.dims)), np.dtype(float))
    data = {
        name: ((*dims, *v.dims), arrays[name], {"long_name": v.long_name, "units": v.units})
        for name, v in study.variables.items()
        if name in arrays
    }
    coords = {name: list(values) for name, values in {**dims, **inner}.items()}
    made: Dataset = study.finish(Dataset(data, coords))
    return made.assign_attrs(provenance(study, config) if made_by is None else made_by)


def _blank(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    kept = _with_nan(dtype)
    return np.full(shape, "" if kept.kind == "O" else np.nan, dtype=kept)


def _with_nan(dtype: Any) -> np.dtype[Any]:
    """Return a dtype for values and NaN; that of Python's objects for texts, which are of any length."""
    if dtype.kind in "US":
        return np.dtype(object)
    return np.result_type(dtype, np.float32) if dtype.kind in "iub" else np.dtype(dtype)


def provenance(study: Study, config: Any) -> dict[str, Any]:
    """Return what made a dataset: study, configuration, seed, versions, and the commit where the package is a checkout."""
    return {
        "study": study.name,
        "title": study.title,
        "config": as_text(config),
        "seed": getattr(config, "seed", "none"),
        "commit": _commit(),
        "versions": versions(),
    }


def as_text(config: Any) -> str:
    """Return a configuration as JSON, its fields sorted."""
    return json.dumps(asdict(config), sort_keys=True)


_COMPUTED_WITH = ("bdia_numerics", "heyoka", "mpmath", "numpy", "python-flint", "scipy", "torch", "xarray")


def versions() -> str:
    """Return the versions of Python and of the packages that results can depend on, of those that are installed, as JSON."""
    return json.dumps(installed(_COMPUTED_WITH), sort_keys=True)


@cache
def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return the version of Python, and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _commit() -> str:
    """Return the commit of the checkout that holds the package, with "+changes" if it is not clean; "none" outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "none"

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "HEAD") or "none") + ("+changes" if git("status", "--porcelain", "-uno") else "")
