"""How enclosures of errors grow with the box, and what a proof costs: with derivatives carried along and without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import grids, problems, schedules, spec
from bdia_numerics.analysis import Comparison, certify_better, enclose_error
from bdia_numerics.analysis.certified.boxes import FORMS, Form
from bdia_numerics.grids import Grid
from bdia_numerics.run import solve
from bdia_numerics.solvers import BDIA, DDIM
from bdia_numerics.studies import named
from bdia_numerics.studies.study import Cell, Study, Variable


def law() -> problems.GaussianMixture:
    """Return 1/4 N(-1, 1/4) + 3/4 N(1, 1/4)."""
    quarter = Fraction(1, 4)
    return problems.GaussianMixture([quarter, 3 * quarter], [[-1], [1]], [quarter, quarter])


def grid(n: int) -> Grid:
    """Return n equal steps of t from 1 to 1/100, linear VP schedule."""
    return grids.uniform(schedules.vp_linear(), n, t_max=1, t_min=Fraction(1, 100))


@dataclass(frozen=True)
class EnclosuresConfig:
    """What to run; by default ten seconds of one core. Needs the extra `balls`.

    Attributes
    ----------
    solver
        As `bdia_numerics.spec` reads it.
    slots
        Of the grid.
    halvings
        k for an interval of half-width 2^-k.
    centre
        Of the intervals of z_N; a number like 9/10 or 0.9.
    states
        How many sample the interval.
    """

    solver: str = "BDIA"
    slots: tuple[int, ...] = (10, 40)
    halvings: tuple[int, ...] = tuple(range(1, 21))
    centre: str = "1"
    states: int = 65

    def __post_init__(self) -> None:
        spec.solver(self.solver)
        named.ratio("centre", self.centre)
        if not self.slots or min(self.slots) < 2 or not self.halvings or self.states < 2:
            raise ValueError(
                f"slots={self.slots}, halvings={self.halvings}, states={self.states}: give two or more of each"
            )


def compute(config: EnclosuresConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the radius of the enclosed error over one interval in each form, and half the spread of errors sampled there."""
    solver, times = spec.solver(config.solver), grid(int(cell["slots"]))
    centre, width = named.ratio("centre", config.centre), Fraction(1, 2 ** int(cell["halvings"]))
    ends = centre - width, centre + width
    z = float(centre) + np.linspace(-1, 1, config.states)[:, None] * float(width)
    schedule = schedules.vp_linear()
    truth = law().flow(z, float(times.t[times.n]), float(times.t[0]), schedule)
    errors = solve(solver, law().model(schedule), times, z).z - truth
    return {
        "width": float(width),
        "radius": np.array([float(enclose_error(solver, law(), times, ends, form=form).radius) for form in FORMS]),
        "spread": float(np.ptp(errors) / 2),
        "status": "ok",
    }


ENCLOSURES = Study(
    "enclosures",
    "Radii of enclosed errors against the width of the interval of initial states",
    EnclosuresConfig,
    dims=lambda config: {"slots": config.slots, "halvings": config.halvings},
    inner=lambda config: {"form": FORMS},
    compute=compute,
    variables={
        "radius": Variable("radius of the enclosed error at the data end", dims=("form",)),
        "spread": Variable("half the spread of sampled errors at the data end"),
        "width": Variable("half-width of the interval of z_N"),
        "status": Variable("status"),
    },
    figure="enclosures:growth",
)


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
