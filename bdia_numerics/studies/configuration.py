"""What the configurations of studies share: solvers in text, with and without gamma side by side, and checks of their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis import GridFamily
from bdia_numerics.analysis.measurement.observed import family_named
from bdia_numerics.grids import Grid
from bdia_numerics.program import NotInvertibleError, Solver, parameters
from bdia_numerics.runs.encoding import Solution, encode, invert
from bdia_numerics.runs.inversion import Method, split
from bdia_numerics.studies.study import Cell
from bdia_numerics.texts import one_of, ratio


def solver_of(text: str) -> Solver:
    """Return the solver of a text, without the inversion that "DDIM by (23)" names behind it."""
    return names.solver(split(text)[0])


CLEAN = -1
"""Time of clean data in a discrete schedule."""


def to_clean(text: str, schedule: Any, n: int) -> Grid:
    """Return a grid of a discrete schedule by name; one that has a last time ends at clean data."""
    return names.grid(text)(schedule, n, t_min=CLEAN)


def family(config: Any, kind: str) -> GridFamily:
    """Return the grids of a kind, on the schedule, in the variable and over the span of a configuration."""
    ends = ratio("t_max", config.t_max), ratio("t_min", config.t_min)
    return family_named(kind, names.schedule(config.schedule), *ends, config.variable)


def takes_gamma(text: str) -> bool:
    """Return whether a solver has a gamma that its text leaves open."""
    return "gamma" not in text and "gamma" in parameters(solver_of(text))


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


def back_to_noise(solver: Solver, model: Any, grid: Grid, there: Any, method: Method | None) -> Solution:
    """Return a run's way back: by the exact inverse, or by the inversion that is named, or of a solver without inverse that of `encode`."""
    if method is None:
        with suppress(NotInvertibleError):
            return invert(solver, model, grid, there.state)
    return encode(solver, model, grid, there.z, method)


def among(config: Any, **known: Iterable[str]) -> None:
    """Raise ValueError for a word, or a word in a list, that is not among those known."""
    for name, words in known.items():
        value, allowed = getattr(config, name), list(words)
        for word in value if isinstance(value, tuple) else (value,):
            one_of(name, word, allowed)
