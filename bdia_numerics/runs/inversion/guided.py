"""Null-text inversion: an unconditional prediction fitted at each step, so that guided sampling returns to the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.grids import Grid
from bdia_numerics.models import Predicting, guided, prediction_of
from bdia_numerics.program import Solver, record_steps, structure
from bdia_numerics.runs.inversion.ddim import DDIMInversion, Method
from bdia_numerics.runs.inversion.steps import dependence
from bdia_numerics.runs.solving import Model, Status, prepared, solve
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown


@dataclass(frozen=True)
class NullText:
    """A latent with what the unconditional model says besides, time by time.

    Attributes
    ----------
    z : array, shape (*batch, *data)
        The latent z_N: the far end of the pivot.
    nulls : mapping of time to array
        Added to the unconditional prediction at t_i; one array of z's shape for each t_N, ..., t_1.
    reconstruction : array, shape (*batch, *data)
        Where the guided run from z ends, bit for bit that of `solve` with `model(cond)`.
    pivot : array, shape (N+1, *batch, *data)
        The states that the guided run was fitted to, indexed as in the paper: 0 is the data.
    nfe : int
        Evaluations of cond and of uncond, the pivot's included.
    status : Status
        Of the pivot, or of the fit.
    """

    z: Any
    nulls: Mapping[Any, Any]
    reconstruction: Any
    pivot: Any
    nfe: int
    status: Status
    uncond: Model = field(repr=False)
    scale: Any

    def model(self, cond: Model) -> Predicting:
        """Return the guided model with the fitted nulls: of the condition inverted, or of another one for an edit.

        Raises
        ------
        ValueError
            If the predictions differ; called, at a time for which no null was fitted.
        """

        def uncond(z: Any, t: Any) -> Any:
            if t not in self.nulls:
                raise ValueError(f"t={t} has no fitted null: run a solver that evaluates at the grid's times alone")
            return self.uncond(z, t) + self.nulls[t]

        return guided(cond, Predicting(uncond, prediction_of(self.uncond)), self.scale)


@ordered
def null_text(
    solver: Solver,
    cond: Model,
    uncond: Model,
    grid: Grid,
    x_0: Any,
    *,
    scale: Any,
    pivot: Method | None = None,
) -> NullText:
    """Invert data so that sampling at a guidance scale returns to it, by fitting the unconditional prediction.

    The pivot is the trajectory of an inversion at scale 1, that is with `cond` alone. From its noise end the guided
    solver runs back, and at each step the unconditional prediction u is replaced by u + n_i, with the n_i for which
    the step ends on the pivot.

    Parameters
    ----------
    solver
        One state and one evaluation per step, at that state, as DDIM.
    cond, uncond
        Models of one prediction.
    grid
        N slots.
    x_0
        Data, shape (*batch, *data).
    scale
        Guidance scale w of uncond + w (cond - uncond), not 1; a number of the states' system.
    pivot
        The inversion at scale 1; DDIMInversion() by default.

    Returns
    -------
    NullText

    Raises
    ------
    ValueError
        For scale 1, for predictions that differ, for a solver of another shape, for a pivot without a trajectory.

    Notes
    -----
    Mokady, Hertz, Aberman, Pritch, Cohen-Or, CVPR 2023. There n_i acts through a text embedding and is found by some
    ten gradient steps. A distribution has no embedding, and n_i here is free, of the state's shape. The step is affine in it,
    so the least-squares problem of each step has a solution in closed form with residual 0: what is measured is the
    method's floor, whichever the network, in both reconstruction and NFE. A family of unconditional distributions would put a
    second question, how much that family can express, in front of the first.

    NFE: that of the pivot (N for DDIM inversion) and 2N for the fit; a guided run costs another 2N. The gradient form
    takes N more evaluations, and as many derivatives, per iteration.
    """
    guided(cond, uncond, scale)
    shape = structure(solver)
    if len(shape.registers) != 1 or shape.nfe != 1:
        raise ValueError(f"solver={shown(solver)} is not of one state and one evaluation a step: use DDIM()")
    space, grid = prepared("x_0", x_0, grid)
    w = space.field(scale)
    if space.is_zero(w - 1):
        raise ValueError("scale=1 leaves the unconditional model, and so the null, without effect: use encode")
    there = (pivot or DDIMInversion())(solver, cond, grid, x_0)
    if there.status.ok and there.trajectory is None:
        raise ValueError(f"pivot={shown(pivot)} keeps no trajectory to fit: use one of bdia_numerics.runs.inversion")
    nulls: dict[Any, Any] = {}
    found = NullText(there.z, nulls, there.z, there.trajectory, there.nfe, there.status, uncond, scale)
    if not there.status.ok:
        return found
    states, z, nfe = there.trajectory[::-1], there.z, there.nfe
    for i in range(grid.n, 0, -1):
        part, once = grid[i - 1 : i], (_Once(cond), _Once(uncond))
        plain = solve(solver, guided(*once, scale), part, z)
        nfe += 2
        if not plain.status.ok:
            return _with(found, z, states, nfe, Status(False, i, plain.status.register))
        program = record_steps(solver, part, prediction_of(cond))
        weights = dependence(program, shape.output)
        (evaluation,) = set(weights) - {h.number for h in program.inputs.values()}
        with space.working():
            t = part.point(1).t
            nulls[t] = (states[i - 1] - plain.z) * space.coefficient(1 / (weights[evaluation] * (1 - w)))
        # The same operations as a later run makes, on the same values, so that this run is that one to the last bit.
        z = solve(solver, _with(found, z, states, nfe, found.status, once[1]).model(once[0]), part, z).z
    return _with(found, z, states, nfe, found.status)


def _with(found: NullText, z: Any, pivot: Any, nfe: int, status: Status, uncond: Model | None = None) -> NullText:
    return NullText(found.z, found.nulls, z, pivot, nfe, status, uncond or found.uncond, found.scale)


class _Once:
    """A model that is asked once, at one state, and repeats itself."""

    def __init__(self, model: Model) -> None:
        self.model, self.prediction = model, prediction_of(model)
        self.output: Any = None

    def __call__(self, z: Any, t: Any) -> Any:
        if self.output is None:
            output = spaces.plain(f"model(z, t={t})", self.model(z, t))
            self.output = np.array(output) if isinstance(z, np.ndarray) else output
        return self.output
