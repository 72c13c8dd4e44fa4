"""How proved bounds of errors grow with the interval of initial states, and what proofs cost (extra `balls`).

``python experiments/enclosures.py [--out FOLDER]`` (half a minute of one core) writes FOLDER/enclosures.nc and FOLDER/enclosures.png; the
costs of docs/findings/enclosures.md are printed. `bdia pages enclosures --recompute` draws the page's picture.
"""

from fractions import Fraction

import numpy as np
from matplotlib.ticker import LogFormatterMathtext
from output import dataset, folder, keep

from bdia_numerics import BDIA, DDIM, analysis, grids, problems, schedules, solve
from bdia_numerics.plots.style import Panel, draw, error_ticks

SCHEDULE, QUARTER = schedules.vp_linear(), Fraction(1, 4)
LAW = problems.GaussianMixture([QUARTER, 3 * QUARTER], [[-1], [1]], [QUARTER, QUARTER])
SLOTS, HALVINGS, CENTRE = (10, 40), tuple(range(1, 21)), 1
FORMS = {"natural": "balls alone", "mean value": "mean-value form"}
HALF, BOX = Fraction(1, 2), (Fraction(1, 2), Fraction(3))


def grid(n):
    """Return n equal steps of t from 1 to 1/100."""
    return grids.uniform(SCHEDULE, n, t_max=1, t_min=Fraction(1, 100))


def radii(n, width):
    """Return, for z_N within `width` of the centre, the radius of BDIA's enclosed error in each form, and half its sampled spread."""
    ends, times = (CENTRE - width, CENTRE + width), grid(n)
    proved = [float(analysis.enclose_error(BDIA(1), LAW, times, ends, form=form).radius) for form in FORMS]
    z = float(CENTRE) + np.linspace(-1, 1, 65)[:, None] * float(width)
    truth = LAW.flow(z, float(times.t[n]), float(times.t[0]), SCHEDULE)
    return [*proved, float(np.ptp(solve(BDIA(1), LAW.model(SCHEDULE), times, z).z - truth) / 2)]


def study(slots=SLOTS, halvings=HALVINGS):
    """Return the radii by slots and by half-width of the interval, 2^-k."""
    widths = [Fraction(1, 2**k) for k in halvings]
    curves = [*FORMS.values(), "sampled spread"]
    found = [[radii(n, width) for width in widths] for n in slots]
    coordinates = {"slots": list(slots), "width": list(map(float, widths)), "curve": curves}
    return dataset(coordinates, radius=found)


def figure(found):
    """Draw the radii, a panel a number of slots."""
    x, y = "half-width of the interval of $z_N$", "radius of the error of $x_0$"
    panels = []
    for n in found["slots"].values:
        one = found["radius"].sel(slots=n)
        finite = one.where(np.isfinite(one))
        curves = {str(name): (found["width"], finite.sel(curve=name)) for name in found["curve"].values}
        panels.append(Panel(x, y, curves, title=f"{n} slots", log="xy"))
    drawn = draw(*panels)
    for ax in drawn.axes:
        error_ticks(ax.xaxis)  # the widths span six decades, too many for plain numbers
        ax.xaxis.set_major_formatter(LogFormatterMathtext())
    return drawn


def costs():
    """Print what it costs to prove that BDIA's error is below half of DDIM's over an interval."""
    settings = [(n, BOX, 128, "mean value") for n in (5, 10, 20, 40)]
    settings += [(10, BOX, bits, "mean value") for bits in (53, 256)]
    settings += [(10, (Fraction(1), 1 + Fraction(1, k)), 128, "natural") for k in (512, 4096, 16384)]
    print("slots, interval, bits, form: verdict, pieces, looked at, evaluations, seconds, ratio")
    for n, box, bits, form in settings:
        options = {"factor": HALF, "prec": bits, "form": form, "budget": 600}
        r = analysis.certify_better(BDIA(1), DDIM(), LAW, grid(n), box, **options)
        numbers = (r.verdict, len(r.pieces), r.evaluated, r.nfe, f"{r.seconds:.2f}", f"{r.ratio:.3f}")
        print(n, f"[{box[0]}, {box[1]}]", bits, form, *numbers)


FIGURES = {"enclosures": lambda: figure(study())}

if __name__ == "__main__":
    out, found = folder(__doc__), study()
    keep(out, "enclosures", figure(found), found)
    costs()
