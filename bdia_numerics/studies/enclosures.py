"""How enclosures of errors grow with the box, and what a proof costs: with derivatives carried along and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import grids, problems, schedules
from bdia_numerics.analysis import Comparison, certify_better, enclose_error
from bdia_numerics.analysis.certified.boxes import FORMS, Form
from bdia_numerics.grids import Grid
from bdia_numerics.run import solve
from bdia_numerics.solvers import BDIA, DDIM


def law() -> problems.GaussianMixture:
    """Return 1/4 N(-1, 1/4) + 3/4 N(1, 1/4)."""
    quarter = Fraction(1, 4)
    return problems.GaussianMixture([quarter, 3 * quarter], [[-1], [1]], [quarter, quarter])


def grid(n: int) -> Grid:
    """Return n equal steps of t from 1 to 1/100, linear VP schedule."""
    return grids.uniform(schedules.vp_linear(), n, t_max=1, t_min=Fraction(1, 100))


@dataclass(frozen=True)
class Growth:
    """Radii of the enclosed error of a solver over [centre - w, centre + w], by form; `sampled` is half its spread there."""

    slots: int
    widths: tuple[float, ...]
    radii: dict[str, tuple[float, ...]]
    sampled: tuple[float, ...]


def growth(n: int, widths: Sequence[Fraction], *, centre: Fraction = Fraction(1), solver: Any = None) -> Growth:
    """Enclose a solver's error (BDIA's by default) over ever smaller intervals, and sample it there."""
    solver = BDIA(1) if solver is None else solver
    radii: dict[str, tuple[float, ...]] = {}
    form: Form
    for form in FORMS:
        found = [enclose_error(solver, law(), grid(n), (centre - w, centre + w), form=form).radius for w in widths]
        radii[form] = tuple(found)
    return Growth(n, tuple(map(float, widths)), radii, tuple(_spread(n, centre, w, solver) for w in widths))


def _spread(n: int, centre: Fraction, width: Fraction, solver: Any) -> float:
    z = float(centre) + np.linspace(-1, 1, 65)[:, None] * float(width)
    steps, schedule = grid(n), schedules.vp_linear()
    truth = law().flow(z, float(steps.t[n]), float(steps.t[0]), schedule)
    errors = solve(solver, law().model(schedule), steps, z).z - truth
    return float(np.ptp(errors) / 2)


def cost(
    n: int,
    box: tuple[Fraction, Fraction],
    *,
    factor: Fraction,
    prec: int = 128,
    form: Form = "mean value",
    budget: int = 4096,
) -> Comparison:
    """Return the proof that BDIA's error is below `factor` times DDIM's, with its cost."""
    return certify_better(BDIA(1), DDIM(), law(), grid(n), box, factor=factor, prec=prec, form=form, budget=budget)
