"""Where numerical solutions of dy/ds = J y stay bounded, in sampling and in inverting, from the recorded programs.

``python experiments/stability.py [--out FOLDER]`` (ten seconds) prints the roots for h J = 0, and writes FOLDER/stability.nc and
FOLDER/stability.png.
"""

from fractions import Fraction

import numpy as np
import sympy
from output import dataset, folder, keep

from bdia_numerics import BDIA, CBDIA, DDIM, EDICT, ReversibleHeun, analysis
from bdia_numerics.plots.style import Panel, draw

SOLVERS = {
    "DDIM": DDIM(), "BDIA, gamma 1/2": BDIA(Fraction(1, 2)), "BDIA, gamma 9/10": BDIA(Fraction(9, 10)), "BDIA, gamma 1": BDIA(1),
    "EDICT": EDICT(), "CBDIA": CBDIA(), "reversible Heun": ReversibleHeun(),
}  # fmt: skip
WAYS = ("sample", "invert")
PLANE = {"real": (-2.5, 0.5), "imaginary": (-2.0, 2.0), "resolution": 49}


def roots(solver, way):
    """Return the roots of the characteristic polynomial for h J = 0 (equal steps, alpha = 1), the largest first."""
    polynomial = analysis.characteristic_polynomial(solver, direction=way)
    found = np.roots([complex(c) for c in sympy.Poly(polynomial).all_coeffs()])
    return found[np.argsort(-np.abs(found))]


def study(solvers=SOLVERS, plane=PLANE):
    """Return, where there is a way back, the largest modulus of a root over the plane of h J; beyond 1 solutions grow."""
    wanted = [(name, way) for way in WAYS for name in solvers if way == "sample" or name != "DDIM"]
    regions = [analysis.stability_region(solvers[name], direction=way, **plane) for name, way in wanted]
    real, imaginary = (np.linspace(*plane[axis], plane["resolution"]) for axis in ("real", "imaginary"))
    coordinates = {"run": [f"{name}, {way}" for name, way in wanted], "imaginary": imaginary, "real": real}
    return dataset(coordinates, radius=[region.radius for region in regions])


def figure(found):
    """Draw the largest modulus along the real and along the imaginary axis, a panel an axis and a way."""
    panels = []
    for way in WAYS:
        runs = [run for run in found["run"].values if run.endswith(way)]
        for axis, other in (("real", "imaginary"), ("imaginary", "real")):
            along = found["radius"].sel({other: 0}, method="nearest")
            curves = {run.removesuffix(f", {way}"): (found[axis], along.sel(run=run)) for run in runs}
            one = {"_1": (found[axis].values[[0, -1]], np.ones(2))}
            title = f"{way}, {axis} axis"
            panels.append(Panel("h J", "largest modulus", curves, one, title, limits=(0, 3)))
    return draw(*panels)


if __name__ == "__main__":
    out, found = folder(__doc__), study()
    for run in found["run"].values:
        name, way = run.rsplit(", ", 1)
        print(f"{run:26} roots", *(f"{root:.4g}" for root in np.real_if_close(roots(SOLVERS[name], way))))
    keep(out, "stability", figure(found), found)
