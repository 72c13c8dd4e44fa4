"""The pictures of the pages on bit-exact runs, on inversions, on third-order BDIA and on the barrier.

``python experiments/findings.py [--out FOLDER]`` (about a minute of one core) draws them into FOLDER; `bdia pages findings --recompute`
draws them into docs/images.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import sympy
from output import folder, keep

from bdia_numerics import BDIA, BDIA3, CBDIA, DDIM, EDICT, OBELM, encode, grids, schedules, solve
from bdia_numerics.analysis import GridFamily, global_error, growth_parameters
from bdia_numerics.claims.formal import Multistep
from bdia_numerics.claims.ledger import checks
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.runs.encoding import BitExact, bit_exact_round_trip
from bdia_numerics.runs.inversion import DDIMInversion, DefectCorrection, ImplicitInversion

LATTICE_STEPS, TRIP_STEPS, ORDER_STEPS = (10, 25, 50, 100, 200), (10, 20, 50), (20, 40, 80, 160, 320)
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


def buffers(steps: Sequence[int] = LATTICE_STEPS) -> dict[str, list[BitExact]]:
    """Return bit-exact round trips from noise, by solver, one for each number of steps."""
    z = np.random.default_rng(0).normal(size=(16, 2))
    schedule = schedules.vp_linear()
    made = [grids.uniform(schedule, n, t_max=1.0, t_min=0.01) for n in steps]
    return {
        label: [bit_exact_round_trip(solver, _PLANE.model(schedule), grid, z) for grid in made]
        for label, solver in LATTICE.items()
    }


def returned(steps: Sequence[int] = TRIP_STEPS) -> dict[str, list[tuple[int, float, float]]]:
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
            found[label].append((there.nfe, rms(back.z - x), rms(there.z - truth)))
    return found


def errors_by_steps(steps: Sequence[int] = ORDER_STEPS) -> dict[str, dict[str, list[float]]]:
    """Return root mean square errors at the data end by kind of grid and solver, first states exact."""
    return {
        kind: {
            label: [float(global_error(solver, _LINE, GridFamily(kind)(n), states=64).error) for n in steps]
            for label, solver in GAMMAS.items()
        }
        for kind in ("smooth", "alternating")
    }


def rms(x: Any) -> float:
    """Return the root mean square over all elements."""
    return float(np.sqrt(np.mean(np.square(x))))


panel = partial(Panel, log="xy")


def bit_exact():
    runs = buffers()
    kept = {label: (LATTICE_STEPS, [r.buffer_bits for r in own]) for label, own in runs.items()}
    bounds = {f"_{label}": (LATTICE_STEPS, [r.bound_bits for r in own]) for label, own in runs.items()}
    references = {"bound": bounds.pop(next(iter(bounds)))} | bounds
    far = {label: (LATTICE_STEPS, [r.distance / r.unit for r in own]) for label, own in runs.items()}
    return draw(
        panel("steps", "bits an element", kept, references, "remainder buffer, and its bound", ticks=LATTICE_STEPS),
        panel("steps", "units of 2⁻⁴⁰", far, title="distance of the data end from the float run", ticks=LATTICE_STEPS),
    )


def inversions():
    runs = returned()
    back, latent = ({label: ([r[0] for r in own], [r[k] for r in own]) for label, own in runs.items()} for k in (1, 2))
    x = "evaluations on the way to noise"
    return draw(
        panel(x, "root mean square", back, title="what does not come back"),
        panel(x, "", latent, title="distance of the latent from the ODE's"),
    )


def third_order():
    runs = errors_by_steps()
    slopes = {
        f"slope {p}": (ORDER_STEPS[:3], [10.0**-c * (ORDER_STEPS[0] / n) ** p for n in ORDER_STEPS[:3]])
        for p, c in ((3, 4.5), (4, 5.5))
    }
    drawn = []
    for kind, own in runs.items():
        curves = {label: (ORDER_STEPS, errors) for label, errors in own.items()}
        drawn.append(panel("steps", "root mean square error", curves, slopes, f"{kind} grid", ticks=ORDER_STEPS))
    return draw(*drawn)


NEAR = Fraction(1, 1000)


def least_growths() -> dict[int, dict[int, float]]:
    """Return, by number of steps and order, the least exponent of the growth over a run; above order 2 it is only approached.

    Order 2 is that of equal weights; beyond it all pairs of roots but one are moved towards the root 1, to a distance of `NEAR`.
    """
    proofs = barrier_proofs()
    found = {k: {2: worst(proofs.best_of_order_2(k).solver)} for k in proofs.STEPS}
    for k, cosines in ((4, [NEAR - 1]), (5, [NEAR - 1, Fraction(1, 2)]), (6, [NEAR - 1, 2 * NEAR - 1])):
        found[k][k - k % 2] = worst(proofs.interpolatory(proofs.on_circle(k, cosines)))
    found[6] = {2: found[6][2], 4: worst(six_of_order_4()), 6: found[6][6]}
    return found


def six_of_order_4(near: Fraction = NEAR - 1, other: Fraction = Fraction(1, 2)) -> Any:
    """Return the method of six steps whose roots -1 and e^(i theta), cos theta = -other, share the growth that order 4 leaves to them."""
    proofs, zeta = barrier_proofs(), sympy.Symbol("zeta")
    shared, pair = sympy.symbols("shared pair")
    # The growths add up to -1, and over sin^2(theta/2) = (1 + c)/2 to -1/3; by partial fractions sigma/zeta is what they make of rho.
    conditions = [
        3 * shared + 2 * pair + 1,
        shared * (1 + 4 / (1 + other)) + 4 * pair / (1 + near) + sympy.Rational(1, 3),
    ]
    growths = sympy.solve(conditions, [shared, pair])
    pairs = [
        (g * (2 * zeta + 2 * c), zeta**2 + 2 * c * zeta + 1)
        for g, c in ((growths[pair], near), (growths[shared], other))
    ]
    fractions = [(1, zeta - 1), (growths[shared], zeta + 1), *pairs]
    a = tuple(proofs.on_circle(6, [near, other]))
    rho = zeta**6 + sum(c * zeta**j for j, c in enumerate(a))
    sigma = sympy.Poly(sympy.cancel(sum(top * sympy.cancel(rho / bottom) for top, bottom in fractions)), zeta)
    return Multistep(a, tuple(sigma.all_coeffs()[::-1]))


def barrier_proofs() -> Any:
    """Return the module of proofs/test_barrier.py, as the ledger loads it."""
    return inspect.getmodule(checks()["fact-26"].run)


def worst(solver: Any) -> float:
    """Return the largest exponent of a solver's growth parameters."""
    return max(g.exponent for g in growth_parameters(solver))


def growth_against_constant(points: int = 160) -> dict[str, tuple[Any, Any]]:
    """Return error constants and worst exponents of the methods of order 4: of four steps, and the best of five."""
    proofs, found = barrier_proofs(), {}
    cosines = np.linspace(-0.98, 0.98, points)
    for name, member in (("4 steps", proofs.four_steps()), ("5 steps", proofs.five_steps())):
        symbols = sorted(member.constant.free_symbols, key=str)
        rates = [-g.rate for g in growth_parameters(member.solver)]
        values = np.meshgrid(*[cosines] * len(symbols))
        with np.errstate(divide="ignore"):
            exponents = np.max([sympy.lambdify(symbols, rate)(*values) for rate in rates], axis=0).ravel()
        constants = sympy.lambdify(symbols, member.constant)(*values).ravel()
        order = np.argsort(constants)
        lowest = np.minimum.accumulate(exponents[order])
        kept = np.r_[True, np.diff(lowest) < 0]
        found[name] = constants[order][kept], lowest[kept]
    return found


def barrier():
    least = {f"{k} steps": (list(found), list(found.values())) for k, found in least_growths().items()}
    traded = growth_against_constant()
    ends = {f"limit of {k} steps": ([0.04, 4], [end, end]) for k, end in ((4, 1), (5, 1 / 2))}
    title = "growth against error constant, order 4"
    return draw(
        Panel("order", "exponent of the growth over a run", least, title="least growth by order", ticks=(2, 4, 6)),
        Panel("error constant", "", traded, ends, title, log="x", limits=(0, 4)),
    )


FIGURES = {"bit-exact": bit_exact, "inversions": inversions, "bdia3": third_order, "barrier": barrier}

if __name__ == "__main__":
    out = folder(__doc__)
    for name, make in FIGURES.items():
        keep(out, name, make())
