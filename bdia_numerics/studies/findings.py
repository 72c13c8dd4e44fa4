"""What the pages on bit-exact runs, on inversions and on third-order BDIA show in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import GridFamily, global_error
from bdia_numerics.analysis.measurement.errors import root_mean_square
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.runs.bit_exact import BitExact, bit_exact_round_trip
from bdia_numerics.runs.encoding import encode, solve
from bdia_numerics.runs.inversion import DDIMInversion, DefectCorrection, ImplicitInversion
from bdia_numerics.solvers import BDIA, BDIA3, CBDIA, DDIM, EDICT, OBELM

LATTICE: Mapping[str, Any] = {
    "BDIA, gamma 1/2": BDIA(Fraction(1, 2)),
    "EDICT, p 93/100": EDICT(Fraction(93, 100)),
    "CBDIA, 19/20, 1/20": CBDIA(Fraction(19, 20), Fraction(1, 20)),
    "BDIA, gamma 9/10": BDIA(Fraction(9, 10)),
    "O-BELM": OBELM(),
}
METHODS: Mapping[str, tuple[Any, Any]] = {
    "DDIM, (10)": (DDIM(), DDIMInversion()),
    "DDIM, (23)": (DDIM(), DDIMInversion(at_target=False)),
    "DDIM, (9), 3 updates": (DDIM(), ImplicitInversion(iterations=3)),
    "DDIM, (9), accelerated": (DDIM(), ImplicitInversion(memory=1)),
    "DDIM, defect correction": (DDIM(), DefectCorrection(memory=1)),
    "BDIA, gamma 1, exact": (BDIA(1), None),
}
GAMMAS: Mapping[str, Any] = {
    "DDIM": DDIM(),
    "BDIA, gamma 1": BDIA(1),
    "BDIA3, 9/10, 3/5, 3/10": BDIA3(Fraction(9, 10), Fraction(3, 5), Fraction(3, 10)),
    "BDIA3, 1, 1, 1": BDIA3(1, 1, 1),
}
_PLANE = GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [1.0, 1.0]], [0.1, 0.2])
_LINE = GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [0.04, 0.09])


def buffers(steps: Sequence[int] = (10, 25, 50, 100, 200)) -> dict[str, list[BitExact]]:
    """Return bit-exact round trips from noise, by solver, one for each number of steps."""
    z = np.random.default_rng(0).normal(size=(16, 2))
    schedule = schedules.vp_linear()
    made = [grids.uniform(schedule, n, t_max=1.0, t_min=0.01) for n in steps]
    return {
        label: [bit_exact_round_trip(solver, _PLANE.model(schedule), grid, z) for grid in made]
        for label, solver in LATTICE.items()
    }


def inversions(steps: Sequence[int] = (10, 20, 50)) -> dict[str, list[tuple[int, float, float]]]:
    """Return, by method and for each number of steps: evaluations on the way to noise, what does not come back, distance of the latent.

    Root mean squares; the latent alone is kept, but for BDIA, which keeps its state.
    """
    schedule = schedules.vp_cosine()
    x, model = _LINE.sample(256, np.random.default_rng(0)), _LINE.model(schedule)
    found: dict[str, list[tuple[int, float, float]]] = {label: [] for label in METHODS}
    for n in steps:
        grid = grids.uniform(schedule, n, t_max=0.95, t_min=0.02)
        truth = _LINE.flow(x, grid.t[0], grid.t[n], schedule)
        for label, (solver, method) in METHODS.items():
            there = encode(solver, model, grid, x, method=method)
            back = solve(solver, model, grid, there.state if method is None else there.z)
            found[label].append((there.nfe, root_mean_square(back.z - x), root_mean_square(there.z - truth)))
    return found


def third_order(steps: Sequence[int] = (20, 40, 80, 160, 320)) -> dict[str, dict[str, list[float]]]:
    """Return root mean square errors at the data end by kind of grid and solver, first states exact."""
    return {
        kind: {
            label: [float(global_error(solver, _LINE, GridFamily(kind)(n), states=64).error) for n in steps]
            for label, solver in GAMMAS.items()
        }
        for kind in ("smooth", "alternating")
    }
