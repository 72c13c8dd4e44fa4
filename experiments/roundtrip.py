"""Both sides of a round trip from data: what comes back, and how far the noise end is from the true state.

``python experiments/roundtrip.py [--out FOLDER]`` (a few seconds) prints both, and writes FOLDER/roundtrip.nc and
FOLDER/roundtrip.png. `bdia roundtrip` makes such trips of any solver.
"""

from fractions import Fraction

import numpy as np
from output import dataset, folder, keep

from bdia_numerics import BDIA, CBDIA, DDIM, EDICT, OBELM, encode, grids, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.runs.inversion import DDIMInversion

SCHEDULE = schedules.vp_linear()
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
METHODS = {  # a solver, and what takes the data to noise: its derived inverse where it has one
    "DDIM, (10)": (DDIM(), DDIMInversion()), "DDIM, (23)": (DDIM(), DDIMInversion(at_target=False)),
    "BDIA, gamma 1/2": (BDIA(Fraction(1, 2)), None), "BDIA, gamma 9/10": (BDIA(Fraction(9, 10)), None),
    "BDIA, gamma 1": (BDIA(1), None), "EDICT": (EDICT(), None), "CBDIA": (CBDIA(), None), "O-BELM": (OBELM(), None),
}  # fmt: skip
STEPS = (10, 20, 40, 80)


def trip(solver, method, n, states=100):
    """Return the root mean squares of what comes back less what was sent, and of the latent less the exact one."""
    grid, model = grids.uniform(SCHEDULE, n, t_max=1, t_min=0.01), LAW.model(SCHEDULE)
    x = LAW.sample(states, np.random.default_rng(0))
    there = encode(solver, model, grid, x, method=method)
    back = solve(solver, model, grid, there.z if there.state is None else there.state)
    away = there.z - LAW.flow(x, grid.t[0], grid.t[n], SCHEDULE)
    return tuple(float(np.sqrt(np.mean(difference**2))) for difference in (back.z - x, away))


def study(methods=METHODS, steps=STEPS):
    """Return both sides of each round trip."""
    both = np.array([[trip(*method, n) for n in steps] for method in methods.values()])
    return dataset({"solver": list(methods), "steps": list(steps)}, error=both[..., 0], distance=both[..., 1])


def figure(found):
    """Draw both sides against steps."""
    steps, panels = found["steps"].values, []
    for name, title in {
        "error": "what does not come back",
        "distance": "distance of the latent from the true one",
    }.items():
        curves = {method: (steps, found[name].sel(solver=method)) for method in found["solver"].values}
        panels.append(Panel("steps", "root mean square", curves, title=title, log="xy", ticks=steps))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    for name in ("error", "distance"):
        print(f"\n{name}\n{found[name].to_pandas().map('{:.1e}'.format).to_string()}")
    keep(out, "roundtrip", figure(found), found)
