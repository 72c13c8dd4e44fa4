"""Fit the coefficients of a solver to a model, slot by slot, to finer steps of the method that it improves on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from bdia_numerics import grids
from bdia_numerics.grids import Between, Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Slot
from bdia_numerics.runs.solving import Model, Solution, begin, check_arguments, prepared, solve
from bdia_numerics.spaces import Array, decimal, ordered, require_finite, share
from bdia_numerics.texts import shown

Kind = TypeVar("Kind")
"""Of a solver, which `fit` gives back."""

__all__ = ["Fit", "PerSlot", "fit", "fit_slots"]


@dataclass(frozen=True, repr=False)
class PerSlot:
    """A parameter with a value for every slot of a grid: values[i-1] from t_i to t_{i-1}.

    Attributes
    ----------
    values
        One for each slot.
    times
        t_0, ..., t_N of the grid; without them the values are for any grid of so many slots.

    Raises
    ------
    ValueError
        When called with a slot of a grid of another number of slots, or of other times, as of the reversed grid.
    """

    values: tuple[Fraction, ...]
    times: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return f"PerSlot({len(self.values)} values, {float(min(self.values)):.3g} to {float(max(self.values)):.3g})"

    def __call__(self, slot: Slot) -> Fraction:
        """Return the value of a slot."""
        grid = slot.grid.entire
        if grid.n != len(self.values):
            raise ValueError(
                f"the coefficients are those of {len(self.values)} slots, and this grid has {grid.n}: fit again"
            )
        times = [] if not isinstance(grid, Grid) or grid.space.symbolic else [float(t) for t in grid.t]
        # Another number system may round a time otherwise.
        if times and self.times and not np.allclose(times, self.times, rtol=1e-9, atol=1e-12):
            raise ValueError(
                f"the coefficients are those of a grid from t={self.times[-1]:g} to {self.times[0]:g} of other times: fit again, "
                "or encode by a method, such as 'ddim'"
            )
        return self.values[slot.i - 1]


@dataclass(frozen=True)
class Fit:
    """A fitted solver, and what was minimised.

    Attributes
    ----------
    solver
        The solver with a `PerSlot` for every coefficient fitted.
    mse, base_mse : array, shape (N,)
        Mean over the elements of the squared distance to the fine steps, at index i-1 for the slot from t_i to t_{i-1}: with
        the coefficients fitted, and with those that it came with, from the same states.
    nfe : int
        Model evaluations made.
    """

    solver: Any
    mse: Array
    base_mse: Array
    nfe: int


@dataclass
class _Remembering:
    """A model that is asked once for each input: trials of one slot differ in what they make of its outputs."""

    model: Model
    known: dict[tuple[bytes, Any], Any] = field(default_factory=dict)
    nfe: int = 0

    @property
    def prediction(self) -> str:
        return prediction_of(self.model)

    def __call__(self, z: Any, t: Any) -> Any:
        key = np.ascontiguousarray(z).tobytes(), t
        if key not in self.known:
            self.nfe += 1
            self.known[key] = np.array(self.model(z, t))
        return self.known[key]


@ordered
def fit(solver: Kind, model: Model, grid: Grid, z: Any, **options: Any) -> Kind:
    """Return the solver with coefficients fitted for a model, a grid and a batch: the `solver` of `fit_slots`.

    Parameters
    ----------
    solver, model, grid, z, options
        As for `fit_slots`.

    Returns
    -------
    Solver
        Of the class of `solver`, with a `PerSlot` for each coefficient that was fitted.

    Raises
    ------
    TypeError
        For a solver without coefficients to fit.
    ValueError
        As `fit_slots`.

    Examples
    --------
    >>> from bdia_numerics import IIADDIM, analysis, fit, problems
    >>> law = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
    >>> grid = analysis.GridFamily()(8)
    >>> fitted = fit(IIADDIM(), law.model(grid.schedule), grid, law.sample(8, 0))
    >>> errors = [analysis.global_error(s, law, grid, states=8).error for s in (IIADDIM(), fitted)]
    >>> errors[1] < errors[0] / 3
    True
    """
    return fit_slots(solver, model, grid, z, **options).solver


@ordered
def fit_slots(
    solver: Any,
    model: Model,
    grid: Grid,
    z: Any,
    *,
    fine: int = 10,
    variable: str = "t",
    names: Sequence[str] | None = None,
    callback: Callable[[int], None] | None = None,
) -> Fit:
    """Minimise, slot by slot, the mean squared distance of one step to finer steps from the same state.

    Parameters
    ----------
    solver
        A solver whose step is affine in its coefficients, with the names of these as `fitted` and the solver of the fine
        steps as `base`: IIADDIM(), IIAEDM(). The coefficients that it comes with are where the search begins.
    model, grid
        As for `solve`; the grid needs a schedule.
    z
        A batch of states z_N, NumPy floats, shape (*batch, *data). Coefficients are shared by all its elements.
    fine
        M, the number of fine steps in a slot.
    variable
        In which the fine times of a slot are equidistant: "t", "sigma_bar" or "log_snr".
    names
        Coefficients to fit, `solver.fitted` by default.
    callback
        Called as ``callback(i)`` when the slot from t_i is done, i = N, ..., 1.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError
        For a solver without coefficients, and for states that are not NumPy floats.
    ValueError
        For fewer than one fine step, unknown names, states that are not finite, and runs that leave the finite numbers.

    Notes
    -----
    Zhang, Niwa, Kleijn, ICLR 2024, arXiv:2304.11328. Slots follow each other: the states of a slot are those that the fitted
    steps before it led to. The least squares are solved by an orthogonal factorisation; where the batch leaves a
    coefficient open (the first slot has no step before it), it stays as it came. A smaller squared distance in each slot
    is not a bound on the error of the run, and says nothing of another batch: hold some states back and look.
    """
    names = _checked(solver, fine, names)
    check_arguments(solver, model, grid)
    space, grid = prepared("z", z, grid)
    if not space.floats:
        raise TypeError(f"z is in {space.name}: coefficients are fitted on NumPy floats")
    require_finite("z", z, space)
    asked = _Remembering(model)
    registers, _ = begin(solver, asked, grid, {grid.n: z}, grid.n)
    given = {name: getattr(solver, name) for name in names}
    table: dict[str, list[Fraction]] = {name: [Fraction(0)] * grid.n for name in names}
    mse, base_mse = np.empty(grid.n), np.empty(grid.n)
    for i in range(grid.n, 0, -1):
        slot = grid[i - 1 : i]

        def step(values: dict[str, Any], slot: Grid = slot) -> Solution:
            return _finite(solve(replace(solver, **values), asked, slot, z, start=registers), slot)  # noqa: B023

        state = registers[getattr(solver, "output", "z")]
        target = _finite(solve(solver.base, asked, _refined(slot, fine, variable), state), slot).z
        begun = {k: decimal(v(Slot(grid, i)) if callable(v) else v) for k, v in given.items()}
        start = step(begun).z
        directions = [step({**begun, name: begun[name] + 1}).z - start for name in names]
        # A step rounds a few products of the size of its states; their root-sum-square bounds that of the roundings.
        rounding = float(16 * space.eps) * float(np.linalg.norm(np.stack([target, start]).astype(np.float64)))
        moves = _least_squares(directions, target - start, rounding)
        for name, move in zip(names, moves, strict=True):
            table[name][i - 1] = begun[name] + Fraction(float(move))
        done = step({name: table[name][i - 1] for name in names})
        mse[i - 1], base_mse[i - 1] = (np.mean((target - x) ** 2, dtype=np.float64) for x in (done.z, start))
        registers = dict(done.state.registers)  # type: ignore[union-attr]
        asked.known.clear()
        if callback is not None:
            callback(i)
    times = tuple(float(t) for t in grid.entire.t)
    made = replace(solver, **{name: PerSlot(tuple(values), times) for name, values in table.items()})
    return Fit(made, mse, base_mse, asked.nfe)


def _checked(solver: Any, fine: int, names: Sequence[str] | None) -> tuple[str, ...]:
    known = tuple(getattr(solver, "fitted", ()))
    if not known or not hasattr(solver, "base"):
        raise TypeError(
            f"solver={shown(solver)} has no coefficients to fit: pass IIADDIM(), IIAEDM(), or one with fitted and base"
        )
    if isinstance(fine, bool) or fine != int(fine) or fine < 1:
        raise ValueError(f"fine={shown(fine)}: a slot has at least 1 fine step, pass an int")
    wanted = known if names is None else tuple(names)
    fields = solver.__dataclass_fields__
    for name in wanted:
        if name not in fields:
            raise ValueError(
                f"names={shown(name)} is not a coefficient of {type(solver).__name__}: use {', '.join(fields)}"
            )
    return wanted


def _finite(solution: Solution, slot: Grid) -> Solution:
    if not solution.status.ok:
        raise ValueError(f"in the slot from t={slot.t[1]} a step is not finite: take a finer grid, or a smaller batch")
    return solution


def _refined(slot: Grid, parts: int, variable: str) -> Grid:
    """Return a grid of one slot cut into parts that are equal in a variable."""
    inner = [slot.point(Between(1, 0, Fraction(k, parts), variable)).t for k in range(1, parts)]
    return grids.from_timesteps(slot.schedule, [slot.t[1], *inner, slot.t[0]])  # type: ignore[arg-type]


def _least_squares(directions: Sequence[Array], residual: Array, rounding: float) -> Array:
    """Return the smallest coefficients with which the directions come nearest to the residual.

    Each direction is a difference of two states and carries their rounding: what is no longer than that is not a direction.
    """
    columns = np.stack([np.ravel(d).astype(np.float64) for d in directions], axis=-1)
    lengths = np.linalg.norm(columns, axis=0)
    used = lengths > rounding
    moves = np.zeros(len(lengths))
    if used.any():
        scale = lengths[used]
        goal = np.ravel(residual).astype(np.float64)
        moves[used] = np.linalg.lstsq(columns[:, used] / scale, goal, rcond=rounding / scale.min())[0] / scale
    return moves


share(Fit, PerSlot)
