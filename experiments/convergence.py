"""Errors against an exact flow by the number of steps, and the orders that they show, on two kinds of grids.

``python experiments/convergence.py [--out FOLDER]`` (a few seconds) prints the slopes, and writes FOLDER/convergence.nc and
FOLDER/convergence.png. `bdia converge` decides orders, with uncertainty bands.
"""

from fractions import Fraction

import numpy as np
from output import dataset, folder, keep

from bdia_numerics import BDIA, CBDIA, DDIM, EDICT, OBELM, BDIAHeun, DPMSolverPP, grids, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw

SCHEDULE = schedules.vp_linear()
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
SOLVERS = {
    "DDIM": DDIM(), "BDIA, gamma 1": BDIA(1), "BDIA, gamma 1/2": BDIA(Fraction(1, 2)), "EDICT": EDICT(), "CBDIA": CBDIA(),
    "O-BELM": OBELM(), "BDIA-EDM": BDIAHeun(), "DPM-Solver++ 2M": DPMSolverPP(),
}  # fmt: skip
SPAN = {"t_max": 0.6, "t_min": 0.1}
GRIDS = {
    "equal steps of asinh(sigma/alpha)": lambda n: grids.asinh(SCHEDULE, n, **SPAN),
    "steps h, 2h in turn": lambda n: grids.alternating(SCHEDULE, n, ratio=2, **SPAN),
}
STEPS = (10, 20, 40, 80, 160, 320)


def error(solver, grid, states=32):
    """Return the root mean square error of z_0, from states of the exact distribution at t_N; first states by DDIM steps."""
    rng = np.random.default_rng(0)
    z = grid.alpha[grid.n] * LAW.sample(states, rng) + grid.sigma[grid.n] * rng.standard_normal((states, 1))
    truth = LAW.flow(z, grid.t[grid.n], grid.t[0], SCHEDULE)
    return float(np.sqrt(np.mean((solve(solver, LAW.model(SCHEDULE), grid, z).z - truth) ** 2)))


def study(solvers=SOLVERS, steps=STEPS):
    """Return the errors, and the slope between each number of steps and the one before."""
    errors = [[[error(solver, make(n)) for n in steps] for solver in solvers.values()] for make in GRIDS.values()]
    found = dataset({"grid": list(GRIDS), "solver": list(solvers), "steps": list(steps)}, error=errors)
    logs = np.log(found["error"])
    return found.assign(slope=-logs.diff("steps") / np.log(found["steps"]).diff("steps"))


def figure(found):
    """Draw errors against steps, a panel a grid."""
    steps, panels = found["steps"].values, []
    for name in found["grid"].values:
        one = found.sel(grid=name)
        curves = {solver: (steps, one["error"].sel(solver=solver)) for solver in one["solver"].values}
        slopes = {f"slope {p}": (steps, 0.1 * (steps[0] / steps) ** p) for p in (1, 2)}
        panels.append(Panel("steps", "rms error", curves, slopes, name, log="xy", ticks=steps))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    for name in found["grid"].values:
        print(f"\nslopes, {name}\n{found['slope'].sel(grid=name).to_pandas().round(2).to_string()}")
    keep(out, "convergence", figure(found), found)
