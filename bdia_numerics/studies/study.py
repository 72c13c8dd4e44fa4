"""What a study is: cells that are computed one by one, each by itself, and the dataset that they make.

Also what the configurations of studies share: how their texts are read and checked.
"""

from __future__ import annotations

import itertools
import json
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import GridFamily
from bdia_numerics.analysis.measurement.observed import family_named
from bdia_numerics.grids import Grid, uniform
from bdia_numerics.program import Solver, parameters, structure
from bdia_numerics.runs.inversion import split
from bdia_numerics.runs.solving import sampling
from bdia_numerics.schedules import vp_linear
from bdia_numerics.texts import distinct, one_of, ratio

if TYPE_CHECKING:
    from xarray import Dataset as Dataset
else:
    Dataset = Any  # xarray is loaded when a dataset is made


DIRECTIONS = ("sample", "invert")
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

    Examples
    --------
    >>> from bdia_numerics.studies import Variable
    >>> Variable("root mean square error").units
    '1'
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
        Dataset -> rows of the table, each values by field; without, those of `records` by `columns`.
    figure : str
        "module:function" of `bdia_numerics.plots`, which takes the dataset.
    lists : tuple of str
        Fields of the configuration that say which cells there are, and change nothing in any of them: a run with longer ones finds
        again what a shorter one computed.
    said : callable
        (what `studies.records.data` returns without it, dataset) -> what the study's command prints as JSON.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from bdia_numerics.studies import Study, Variable, run
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     powers: tuple[int, ...] = (1, 2, 3)
    ...
    >>> study = Study("powers", "Powers of two", Config, lambda config: {"power": config.powers},
    ...     lambda config, cell: {"value": 2.0 ** cell["power"]}, {"value": Variable("the power")})
    >>> run(study)["value"].values
    array([2., 4., 8.])
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
    lists: tuple[str, ...] = ()
    said: Callable[[dict[str, Any], Any], dict[str, Any]] = field(default=lambda data, dataset: data)


def coordinates(study: Study, config: Any) -> Mapping[str, Sequence[Scalar]]:
    """Return the coordinates of the cells by dimension; ValueError if a dimension has one of them twice."""
    dims = study.dims(config)
    for name, values in dims.items():
        distinct(name, values)
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


def as_text(config: Any, without: tuple[str, ...] = ()) -> str:
    """Return a configuration as JSON, its fields sorted, without some."""
    return json.dumps({k: v for k, v in asdict(config).items() if k not in without}, sort_keys=True)


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


def solver_of(text: str) -> Solver:
    """Return the solver of a text, without the inversion that "DDIM by (23)" names behind it."""
    return names.solver(split(text)[0])


@cache
def affordable(text: str, evaluations: int) -> int:
    """Return the most slots that so many evaluations pay for, the start of the solver included; 0 if they pay for no step after it."""
    solver, shape = solver_of(text), structure(solver_of(text))
    n = shape.depth + 2
    start = len(sampling(solver, uniform(vp_linear(), n, t_min=0.1), "eps").calls) - n * shape.nfe
    slots = (evaluations - start) // shape.nfe
    return slots if slots > shape.depth else 0


CLEAN = -1
"""Time of clean data in a discrete schedule."""


def to_clean(text: str, schedule: Any, n: int) -> Grid:
    """Return a grid of a discrete schedule by name; one that has a last time ends at clean data."""
    return names.grid(text)(schedule, n, t_min=CLEAN)


def family(config: Any, kind: str) -> GridFamily:
    """Return the grids of a kind, on the schedule, in the variable and over the span of a configuration."""
    ends = ratio("t_max", config.t_max), ratio("t_min", config.t_min)
    return family_named(kind, names.schedule(config.schedule), *ends, config.variable)


def leaves_open(text: str, name: str) -> bool:
    """Return whether a solver has a parameter that its text gives no value."""
    return name in parameters(solver_of(text)) and not re.search(rf"\b{name}\s*=", text)


def takes_gamma(text: str) -> bool:
    """Return whether a solver has a gamma that its text leaves open."""
    return leaves_open(text, "gamma")


def contender(cell: Cell) -> Solver:
    """Return the solver of a cell, with the cell's gamma if it takes one; decimals mean what they print as."""
    text = str(cell["solver"])
    return names.solver(split(text)[0], gamma=Fraction(str(cell["gamma"]))) if takes_gamma(text) else solver_of(text)


def once(config: Any, cell: Cell) -> bool:
    """Return whether a cell is not a repetition: a solver without gamma is run at the first gamma alone."""
    return cell["gamma"] == config.gammas[0] or takes_gamma(str(cell["solver"]))


def over_gammas(dataset: Any) -> Any:
    """Return the dataset with the one result of a solver without gamma at every gamma."""
    free = dataset["solver"].isin([text for text in dataset["solver"].values if takes_gamma(str(text))])

    def filled(values: Any) -> Any:
        if not {"solver", "gamma"} <= set(values.dims):
            return values
        return values.where(free, values.isel(gamma=0, drop=True))

    return dataset.map(filled, keep_attrs=True)


def shared(dataset: Any, dims: Iterable[str], names: Iterable[str]) -> Any:
    """Return the dataset with these variables, the same in every cell, freed of the cells' dimensions."""
    held = [name for name in names if name in dataset]
    return dataset.assign(
        {name: dataset[name].max([d for d in dims if d in dataset[name].dims], keep_attrs=True) for name in held}
    )


def over_seeds(values: Any) -> Any:
    """Return the median over seeds of errors, where a run without one is farther off than all others; NaN where no run has one."""
    return values.fillna(np.inf).median("seed").where(values.notnull().any("seed"))


def with_parameters(dataset: Any, *names: str) -> Any:
    """Return the dataset with parameters of its solvers as coordinates beside their texts; NaN for a solver without."""
    found = [parameters(solver_of(str(text))) for text in dataset["solver"].values]
    columns = {name: ("solver", [float(given.get(name, np.nan)) for given in found]) for name in names}
    return dataset.assign_coords(columns)


def check(config: Any, *lists: str, encodes: bool = False, **least: float) -> None:
    """Raise ValueError for a name that is none, an empty one of `lists`, and a number, or one in a list, below its least.

    Names are those of solvers, distributions, schedules and grids, which are read by the names of their fields; grids of a configuration
    with a `variable` are kinds of families. A study that `encodes` takes solvers with an inversion behind them, "DDIM by (23)", too.
    """
    for name in lists:
        if not getattr(config, name):
            raise ValueError(f"{name} is empty: give one or more")
    grid: Callable[[str], Any] = partial(family, config) if hasattr(config, "variable") else names.grid
    readers: dict[str, Callable[[str], Any]] = {
        "solver": solver_of if encodes else names.solver, "problem": names.distribution, "distribution": names.distribution,
        "schedule": names.schedule, "grid": grid,
    }  # fmt: skip
    for word, reader in readers.items():
        for text in (getattr(config, word, ""), *getattr(config, f"{word}s", ())):
            if text:
                reader(text)
    for name, bound in least.items():
        value = getattr(config, name)
        if any(x < bound for x in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name}={value}: give {bound:g} or more")


def gammas_with_inverse(config: Any) -> None:
    """Raise ValueError for a gamma outside (0, 1]: at 0 there is no inverse."""
    if any(not 0 < g <= 1 for g in config.gammas):
        raise ValueError(f"gammas={config.gammas}: give numbers above 0, up to 1")


def among(config: Any, **known: Iterable[str]) -> None:
    """Raise ValueError for a word, or a word in a list, that is not among those known."""
    for name, words in known.items():
        value, allowed = getattr(config, name), list(words)
        for word in value if isinstance(value, tuple) else (value,):
            one_of(name, word, allowed)
