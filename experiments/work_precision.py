"""What an error costs: model evaluations, and the solver's own processor time.

``python experiments/work_precision.py [--out FOLDER]`` (a few seconds) prints the errors, and writes FOLDER/work_precision.nc and
FOLDER/work_precision.png. `bdia work-precision` compares other solvers and problems.
"""

import time
from fractions import Fraction

import numpy as np
from output import dataset, folder, keep

from bdia_numerics import BDIA, DDIM, EDICT, OBELM, DPMSolverPP, Heun, grids, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw

SCHEDULE = schedules.vp_linear()
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
SOLVERS = {  # with the evaluations of one step
    "DDIM": (DDIM(), 1), "BDIA, gamma 1": (BDIA(1), 1), "BDIA, gamma 1/2": (BDIA(Fraction(1, 2)), 1), "EDICT": (EDICT(), 2),
    "O-BELM": (OBELM(), 1), "Heun": (Heun(), 2), "DPM-Solver++ 2M": (DPMSolverPP(), 1),
}  # fmt: skip


def run(solver, n, states=256, repeats=3):
    """Return error, evaluations and seconds of n equal steps of t; the model, which costs all solvers alike, is not counted."""
    grid, model = grids.uniform(SCHEDULE, n, t_max=1, t_min=0.01), LAW.model(SCHEDULE)
    z, inside, own = np.random.default_rng(0).standard_normal((states, 1)), [0.0], []

    def timed(z, t):
        begin = time.process_time()
        eps = model(z, t)
        inside[0] += time.process_time() - begin
        return eps

    for _ in range(repeats):
        inside[0], begin = 0.0, time.process_time()
        found = solve(solver, timed, grid, z)
        own.append(time.process_time() - begin - inside[0])
    away = found.z - LAW.flow(z, grid.t[n], grid.t[0], SCHEDULE)
    return float(np.sqrt(np.mean(away**2))), found.nfe, min(own)


def study(solvers=SOLVERS, evaluations=(10, 20, 40, 80, 160)):
    """Return errors, evaluations and processor times."""
    rows = [[run(solver, budget // nfe) for budget in evaluations] for solver, nfe in solvers.values()]
    columns = dict(zip(("error", "nfe", "seconds"), np.moveaxis(np.array(rows), -1, 0), strict=True))
    return dataset({"solver": list(solvers), "evaluations": list(evaluations)}, **columns)


def figure(found):
    """Draw errors against evaluations and against processor time."""
    panels, error = [], found["error"]
    for x, label in {"nfe": "model evaluations", "seconds": "processor time without the model, s"}.items():
        curves = {s: (found[x].sel(solver=s), error.sel(solver=s)) for s in found["solver"].values}
        panels.append(Panel(label, "root mean square error", curves, log="xy"))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    print(found["error"].to_pandas().map("{:.1e}".format).to_string())
    keep(out, "work_precision", figure(found), found)
