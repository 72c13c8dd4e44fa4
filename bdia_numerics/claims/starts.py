"""Fact 7: what the start of BDIA-DDIM at gamma = 1 puts into its two modes, and how they travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.bdia_order import Z, law
from bdia_numerics.claims.leading_errors import Array, Paths
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.grids import Grid
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, DDIM, Heun


def modes(solver: Any, start: Any, schedule: Any, grid: Grid) -> tuple[Array, Array, float]:
    """Part the difference in y of a run and of one from exact states, at the indices 1 to N-1, by second differences.

    It is smooth + (-1)^(N-i) parasitic; returned are both, and its largest size.
    """
    n, model = grid.n, law().model(schedule)
    exact = law().flow(Z, grid.t[n], grid.t[n - 1], schedule)
    found, right = (solve(solver, model, grid, Z, s, return_trajectory=True).trajectory for s in (start, [exact]))
    d = (found - right)[..., 0] / grid.alpha[:, None]
    sign = (-1.0) ** (n - np.arange(1, n))
    alternating = sign[:, None] * (2 * d[1:-1] - d[2:] - d[:-2]) / 4
    return (d[2:] + 2 * d[1:-1] + d[:-2]) / 4, alternating, float(np.abs(d).max())


def travelled(growth: Any, alpha: Any) -> Any:
    """Return the factor of the parasitic mode from s_N: (alpha_N/alpha_i)^2 exp(integral of J from s_i to s_N).

    `growth` is the smooth mode's factor, exp of the integral of J from s_N to s_i; `alpha` is alpha_N/alpha_i.
    """
    return alpha**2 / growth


@check(
    "fact-7",
    verdict="measured",
    mutants={
        "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
        "gamma = 9/10": {"solver": lambda: lambda g: BDIA(9 * g / 10)},
        "alpha factor dropped": {"factor": mutant(travelled, ("alpha**2 / growth", "1 / growth"))},
        "parasitic mode carried like the smooth one": {"factor": mutant(travelled, ("/ growth", "* growth"))},
        "a start of second order": {"start": lambda: Heun},
    },
)
def start_modes(solver: Any = BDIA, start: Any = DDIM, factor: Callable[..., Any] = travelled) -> dict[str, Any]:
    """Both modes after a DDIM start, against the exact flow, on a grid that damps and on one that amplifies."""
    vp, ve = schedules.vp_linear(), schedules.edm()
    cases: dict[str, tuple[Any, Callable[[int], Grid]]] = {
        "VP, asinh grid": (vp, lambda n: grids.asinh(vp, n, t_max=0.7, t_min=0.05)),
        "alpha = 1, uniform in sigma": (ve, lambda n: grids.uniform(ve, n, t_max=3.0, t_min=0.3)),
    }
    lines = []
    for name, (schedule, make) in cases.items():
        coarse, fine = (_over_predicted(solver(1), start(), schedule, make(n), factor) for n in (50, 100))
        for mode, (a, b) in {"smooth": (coarse[0], fine[0]), "parasitic": (coarse[1], fine[1])}.items():
            limit = 2 * b - a  # both have a series in 1/N
            miss = float(np.abs(limit - 1).max())
            require(miss < 0.03, f"{name}: the {mode} part is {limit} of the predicted one")
            lines.append(f"{name}, {mode} {miss:.1%}")
        carried = float(rms(fine[2]))
        require((carried < 1) == (schedule is vp), f"{name}: the parasitic part is carried by {carried:.2f}")
        lines[-1] += f" (carried by {carried:.2f})"
    orders = []
    for other, order in ((start(), 2), (Heun(), 3)):
        sizes = [modes(solver(1), other, vp, cases["VP, asinh grid"][1](n))[2] for n in (50, 100)]
        orders.append(float(np.log2(sizes[0] / sizes[1])))
        require(abs(orders[-1] - order) < 0.3, f"the effect of {other!r} is of order {orders[-1]:.2f}, not {order}")
    return {"lines": "; ".join(lines), "orders": orders}


def _over_predicted(solver: Any, start: Any, schedule: Any, grid: Grid, factor: Any) -> tuple[Array, Array, Array]:
    """Return both modes over the predicted ones at three indices, shape (3, B), and the parasitic factor at the last."""
    n, s = grid.n, grid.sigma / grid.alpha
    paths, (smooth, parasitic, _) = (
        Paths(law(), schedule, Z, grid.t[n], grid.t[0]),
        modes(solver, start, schedule, grid),
    )
    indices = np.array([3 * n // 4, n // 4, 1])
    growth = paths.growth(paths.far) / paths.growth(s[indices])
    amplitude = (s[n - 1] - s[n]) ** 2 / 4 * paths.second(paths.far)
    carried = factor(growth, (grid.alpha[n] / grid.alpha[indices])[:, None])
    return (
        smooth[indices - 1] / (-amplitude * growth),
        parasitic[indices - 1] / (amplitude * carried),
        carried[-1],
    )
