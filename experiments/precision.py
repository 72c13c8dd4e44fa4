"""What rounding becomes on a round trip from noise, by gamma and dtype: measured, and predicted from the program.

``python experiments/precision.py [--out FOLDER]`` (a few seconds) prints both, and writes FOLDER/precision.nc and
FOLDER/precision.png. The data are Gaussian of variance 1, so that every state keeps that size.
"""

from fractions import Fraction

import numpy as np
from output import dataset, folder, keep

from bdia_numerics import BDIA, analysis, grids, invert, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw

SCHEDULE = schedules.vp_linear()
LAW = problems.Gaussian([0], 1)
GRIDS = {"equal steps of t": grids.uniform, "equal steps of asinh(sigma/alpha)": grids.asinh}
GAMMAS = tuple(Fraction(g, 20) for g in (10, 14, 16, 18, 19, 20))
DTYPES = ("float16", "float32", "float64")


def returned(gamma, grid, dtype, states=1200):
    """Return the root mean square of the noise that came back less the noise that was sent."""
    solver, model = BDIA(gamma), LAW.model(SCHEDULE)
    z = np.random.default_rng(0).standard_normal((states, 1)).astype(dtype)
    with np.errstate(all="ignore"):  # a run that grows beyond its dtype ends with infinities: NaN here
        there = solve(solver, model, grid, z)
        if not there.status.ok:
            return np.nan
        back = invert(solver, model, grid, there.state).z
    return float(np.sqrt(np.mean((back.astype(float) - z.astype(float)) ** 2)))


def study(gammas=GAMMAS, steps=20):
    """Return errors and predictions by grid, dtype and gamma."""
    made = {name: make(SCHEDULE, steps, t_max=1, t_min=0.01) for name, make in GRIDS.items()}
    errors = [[[returned(g, grid, dtype) for g in gammas] for dtype in DTYPES] for grid in made.values()]
    expected = [[analysis.round_trip_error(BDIA(g), grid).errors for g in gammas] for grid in made.values()]
    predicted = [[[one[dtype] for one in row] for dtype in DTYPES] for row in expected]
    coordinates = {"grid": list(made), "dtype": list(DTYPES), "gamma": [float(g) for g in gammas]}
    return dataset(coordinates, error=errors, predicted=predicted)


def figure(found):
    """Draw what was measured, with the predictions in grey, a panel a grid."""
    gammas, panels = found["gamma"].values, []
    for name in found["grid"].values:
        one = found.sel(grid=name)
        measured, expected = ({d: (gammas, one[k].sel(dtype=d)) for d in DTYPES} for k in ("error", "predicted"))
        grey = {f"{dtype}, predicted": curve for dtype, curve in expected.items()}
        panels.append(Panel("gamma", "rms of what does not come back", measured, grey, name, log="y"))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    for name in ("error", "predicted"):
        print(f"\n{name}\n{found[name].stack(row=('grid', 'dtype')).T.to_pandas().map('{:.1e}'.format).to_string()}")
    keep(out, "precision", figure(found), found)
