"""Why a run ends away from the network's own ODE: its error taken apart into start, slots, oscillation, and the Jacobian's curl."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch

from bdia_numerics.grids import Grid
from bdia_numerics.program import make_plan, record_steps
from bdia_numerics.program.plan import Call
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, RK4
from bdia_numerics.spaces import of
from bdia_numerics.torch.jacobians import Linearised, linearised
from bdia_numerics.torch.linear import Store, push
from bdia_numerics.torch.sampling import refined, rms

Array = np.ndarray[Any, Any]
Watch = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Deviation:
    """Errors of BDIA against the exact solution of the network's ODE on one grid; root mean squares over all elements.

    Attributes
    ----------
    gammas : tuple of float
    sigma_bar : array, shape (N+1,)
        sigma/alpha of the grid, index 0 at the data end.
    paths : array, shape (G, N+1)
        Error of z_i for each gamma.
    exact_start, damped_end : array, shape (G,)
        Error at the data end with the exact second state, and with gamma 0 in the last slot.
    smooth, rough : array, shape (G,)
        At index 1, of y = z/alpha: error of (y_2 + 2 y_1 + y_0)/4, against the same mean of the exact states, and that of
        (y_2 - 2 y_1 + y_0)/4: what a mode of alternating sign is made of.
    reference : float
        Estimated error of the exact solution, from half as many substeps.
    actual, linear, symmetric : float
        For the last gamma: error at the data end; the same as defects carried by the network's Jacobians; the same with their symmetric
        parts.
    shares : dict of str to float
        The linear error that the defects of the start, of the first half, of the second half and of the last slot leave.
    tightness : array, shape (N-1,)
        sigma times the Rayleigh quotient of the linear error at each evaluation, index 1 to N-1: 1 in a direction in which the
        data do not vary.
    asymmetry : array, shape (N-1,)
        |E e - E^T e| / (2 |E e|) there, for that error e.
    """

    gammas: tuple[float, ...]
    sigma_bar: Array
    paths: Array
    exact_start: Array
    damped_end: Array
    smooth: Array
    rough: Array
    reference: float
    actual: float
    linear: float
    symmetric: float
    shares: dict[str, float]
    tightness: Array
    asymmetry: Array


def deviation(
    model: Any,
    grid: Grid,
    z: torch.Tensor,
    *,
    gammas: tuple[Fraction, ...] = (Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(1)),
    substeps: int = 2,
    watch: Watch | None = None,
) -> Deviation:
    """Take BDIA's error on a network apart.

    Parameters
    ----------
    model
        ``model(z, t)`` of tensors, differentiable twice.
    grid
        With a schedule; three slots or more.
    z
        z_N, shape (batch, *data).
    gammas
        Of BDIA; the last one is taken apart.
    substeps
        RK4 steps in each slot of the exact solution.
    watch
        Called with the name of what is done next.
    """
    tell = watch or (lambda _: None)
    tell("exact solution")
    with torch.no_grad():
        exact, uncertainty = _exact(model, grid, z, substeps)
        alpha = torch.tensor(np.asarray(grid.alpha, dtype=float)).to(z).reshape(-1, *[1] * z.ndim)
        paths, started, damped, smooth, rough = [], [], [], [], []
        for gamma in gammas:
            tell(f"gamma {gamma}")
            found = solve(BDIA(gamma), model, grid, z, return_trajectory=True).trajectory - exact
            paths.append([rms(e) for e in found])
            e = found / alpha
            smooth.append(rms((e[2] + 2 * e[1] + e[0]) / 4))
            rough.append(rms((e[2] - 2 * e[1] + e[0]) / 4))
            started.append(rms(solve(BDIA(gamma), model, grid, z, [exact[grid.n - 1]]).z - exact[0]))
            ending = BDIA(partial(_damped, gamma))
            damped.append(rms(solve(ending, model, grid, z).z - exact[0]))
    tell("Jacobians")
    return Deviation(
        tuple(map(float, gammas)), np.asarray(grid.sigma / grid.alpha, dtype=float), np.array(paths), np.array(started), np.array(damped),
        np.array(smooth), np.array(rough), uncertainty, paths[-1][0], **_carried(BDIA(gammas[-1]), model, grid, exact),
    )  # fmt: skip


def _damped(gamma: Fraction, slot: Any) -> Fraction:
    return gamma if slot.i > 1 else Fraction(0)


def _exact(model: Any, grid: Grid, z: torch.Tensor, substeps: int) -> tuple[torch.Tensor, float]:
    ends = []
    for count in (substeps, max(substeps // 2, 1)):
        states = [z]
        for i in range(grid.n, 0, -1):
            states.append(solve(RK4(), model, refined(grid[i - 1 : i], count), states[-1]).z)
        ends.append(torch.stack(states[::-1]))
    return ends[0], rms(ends[0][0] - ends[1][0])


def _carried(solver: Any, model: Any, grid: Grid, exact: torch.Tensor) -> dict[str, Any]:
    """Carry the defects of exact states to the data end, by the plan's tangents."""
    n, space = grid.n, of(exact)
    plan = make_plan(record_steps(solver, grid), space.scalars)
    with torch.no_grad():
        # The default start is one DDIM step, the first of a run of one slot.
        defects = {n - 1: solve(solver, model, grid[n - 1 : n], exact[n]).z - exact[n - 1]}
        for i in range(n - 1, 0, -1):
            defects[i - 1] = solve(solver, model, grid[i - 1 : i + 1], exact[i + 1], [exact[i]]).z - exact[i - 1]
    groups = {"start": [n - 1], "first half": range(n // 2, n - 1), "second half": range(1, n // 2), "last slot": [0]}
    where = {i: name for name, indices in groups.items() for i in indices}
    kinds = [*groups, "all", "symmetric"]
    errors: dict[str, Store] = {
        kind: {h.number: torch.zeros_like(exact[0]) for h in plan.inputs.values()} for kind in kinds
    }

    def inject(index: int, number: int) -> None:
        for kind in (where[index], "all", "symmetric"):
            errors[kind][number] = errors[kind][number] + defects[index]

    inject(n - 1, plan.inputs["z"].number)
    tight, curl = [], []
    for stage in plan.stages:
        (call,) = (x for x in stage.instructions if isinstance(x, Call))
        point: Linearised = linearised(model, exact[stage.slot], call.t)
        e = errors["all"][call.argument]
        forward, transposed = point.push(e), point.pull(e)
        tight.append(float(grid.sigma[stage.slot]) * float((e * forward).sum() / e.square().sum()))
        curl.append(rms(forward - transposed) / (2 * rms(forward)))

        def symmetric(_: int, v: torch.Tensor, at: Linearised = point) -> torch.Tensor:
            return (at.push(v) + at.pull(v)) / 2

        def whole(_: int, v: torch.Tensor, at: Linearised = point) -> torch.Tensor:
            return at.push(v)

        for kind in kinds:
            push(stage.instructions, errors[kind], symmetric if kind == "symmetric" else whole, space)
        inject(stage.reached, stage.held["z"].number)
    end = plan.final["z"].number
    final = {kind: rms(errors[kind][end]) for kind in kinds}
    return {
        "linear": final.pop("all"),
        "symmetric": final.pop("symmetric"),
        "shares": final,
        "tightness": np.array(tight[::-1]),
        "asymmetry": np.array(curl[::-1]),
    }
