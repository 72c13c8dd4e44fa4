"""Which gamma is best on which grid: BDIA's error over grid, steps and gamma, on the schedule of 1,000 steps of DDPM.

``python experiments/map.py [--out FOLDER]`` (a few seconds) prints the best gamma of each grid and number of steps, and writes
FOLDER/map.nc and FOLDER/map.png. `bdia map` measures samples of other distributions.
"""

from fractions import Fraction

import numpy as np
from output import dataset, folder, keep

from bdia_numerics import BDIA, grids, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw

SCHEDULE = schedules.ddpm_linear()
LAW = problems.GaussianMixture([0.3, 0.3, 0.4], [[-1.3], [-0.1], [1.05]], [0.049] * 3)
CLEAN = -1  # the time of clean data in a discrete schedule
GRIDS = {
    "leading": lambda n: grids.leading(SCHEDULE, n),  # its last slot, from t = 0 to clean data, is tiny
    "trailing": lambda n: grids.trailing(SCHEDULE, n),
    "quadratic": lambda n: grids.quadratic(SCHEDULE, n, t_min=CLEAN),
    "asinh": lambda n: grids.asinh(SCHEDULE, n, t_min=CLEAN),
}
GAMMAS = tuple(Fraction(k, 10) for k in range(11))
STEPS = (10, 20, 40, 80)


def error(gamma, grid, states=1000):
    """Return the root mean square error at the data end, from states spread evenly over the probability of N(0, 1)."""
    z = problems.normal_quantiles(states)
    truth = LAW.flow(z, float(grid.t[grid.n]), float(grid.t[0]), SCHEDULE)
    return float(np.sqrt(np.mean((solve(BDIA(gamma), LAW.model(SCHEDULE), grid, z).z - truth) ** 2)))


def study(gammas=GAMMAS, steps=STEPS):
    """Return the errors, DDIM's at gamma 0, and the best gamma of each grid and number of steps."""
    errors = [[[error(g, make(n)) for g in gammas] for n in steps] for make in GRIDS.values()]
    coordinates = {"grid": list(GRIDS), "steps": list(steps), "gamma": [float(g) for g in gammas]}
    found = dataset(coordinates, error=errors)
    found["best"] = found["error"].idxmin("gamma")
    found["gain"] = found["error"].sel(gamma=0) / found["error"].min("gamma")
    return found


def figure(found):
    """Draw errors against gamma, a panel a number of steps, a line a grid."""
    gammas, panels = found["gamma"].values, []
    for n in found["steps"].values:
        curves = {name: (gammas, found["error"].sel(steps=n, grid=name)) for name in found["grid"].values}
        panels.append(Panel("gamma (0 is DDIM)", "rms error", curves, title=f"{n} steps", log="y"))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    print(f"best gamma\n{found['best'].to_pandas()}\n\nDDIM's error over its own\n{found['gain'].to_pandas().round(1)}")
    keep(out, "map", figure(found), found)
