"""What a study is: cells that are computed one by one, each by itself, and the dataset that they make."""

from __future__ import annotations

import itertools
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    """

    long_name: str
    units: str = "1"
    dims: tuple[str, ...] = ()


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
    finish : callable
        Dataset -> dataset: what needs several cells.
    """

    name: str
    title: str
    config: type[Any]
    dims: Callable[[Any], Mapping[str, Sequence[Scalar]]]
    compute: Callable[[Any, Cell], Mapping[str, Any]]
    variables: Mapping[str, Variable]
    inner: Callable[[Any], Mapping[str, Sequence[Scalar]]] = field(default=lambda config: {})
    wanted: Callable[[Any, Cell], bool] = field(default=lambda config, cell: True)
    finish: Callable[[Any], Any] = field(default=lambda dataset: dataset)


def cells(study: Study, config: Any) -> Iterator[Cell]:
    """Yield the cells that are run, the last dimension fastest."""
    dims = study.dims(config)
    for values in itertools.product(*dims.values()):
        cell = dict(zip(dims, values, strict=True))
        if study.wanted(config, cell):
            yield cell


def run(study: Study, config: Any = None, *, advance: Callable[[], None] = lambda: None) -> Dataset:
    """Run a study in this process, and keep nothing.

    Parameters
    ----------
    study, config
        What to run; the study's defaults without `config`.
    advance
        Called after each cell.

    Returns
    -------
    xarray.Dataset
        A variable of dimensions `dims` and its own for each result, with `long_name` and `units`; provenance in `attrs`.

    Raises
    ------
    ImportError
        Without xarray; the message names the extra.
    """
    config = study.config() if config is None else config

    def computed() -> Iterator[tuple[Cell, Mapping[str, Any]]]:
        for cell in cells(study, config):
            yield cell, study.compute(config, cell)
            advance()

    return assemble(study, config, computed())


def assemble(study: Study, config: Any, results: Iterable[tuple[Cell, Mapping[str, Any]]]) -> Dataset:
    """Return the dataset of results, which may come in any order and be incomplete."""
    try:
        from xarray import Dataset
    except ImportError:
        raise ImportError("a dataset needs xarray: pip install 'bdia_numerics[sweep]'") from None
    dims, inner = study.dims(config), study.inner(config)
    place = {name: {value: k for k, value in enumerate(values)} for name, values in dims.items()}
    shape = [len(values) for values in dims.values()]
    arrays: dict[str, Any] = {}
    for cell, values in results:
        at = tuple(place[name][cell[name]] for name in dims)
        for name, value in values.items():
            new = np.asarray(value)
            if name not in arrays:
                arrays[name] = _blank((*shape, *new.shape), new.dtype)
            arrays[name][at] = new
    data = {
        name: ((*dims, *v.dims), arrays[name], {"long_name": v.long_name, "units": v.units})
        for name, v in study.variables.items()
        if name in arrays
    }
    coords = {name: list(values) for name, values in {**dims, **inner}.items()}
    made: Dataset = study.finish(Dataset(data, coords))
    return made.assign_attrs(provenance(study, config))


def _blank(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    if dtype.kind in "US":
        return np.full(shape, "", dtype=object)
    return np.full(shape, np.nan, dtype=np.result_type(dtype, np.float32) if dtype.kind in "iub" else dtype)


def provenance(study: Study, config: Any) -> dict[str, Any]:
    """Return what made a dataset: study, configuration, seed, versions, and the commit where the package is a checkout."""
    packages = {name: version(name) for name in ("bdia_numerics", "numpy", "scipy", "xarray")}
    return {
        "study": study.name,
        "title": study.title,
        "config": json.dumps(asdict(config), sort_keys=True),
        "seed": getattr(config, "seed", "none"),
        "commit": _commit(),
        "versions": json.dumps(packages | {"python": platform.python_version()}, sort_keys=True),
    }


def _commit() -> str:
    """Return the commit of the checkout that holds the package, with "+changes" if it is not clean; "none" outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "none"

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "HEAD") or "none") + ("+changes" if git("status", "--porcelain", "-uno") else "")
