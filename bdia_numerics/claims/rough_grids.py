"""Fact 4: BDIA-DDIM at gamma = 1 on grids whose steps do not vary smoothly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import schedules
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.bdia_order import Z, from_exact, law
from bdia_numerics.claims.leading_errors import Array, Paths, alternating, errors, in_sigma_bar, random_steps
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.solvers import BDIA, DDIM

SEEDS, COARSE, FINE = 16, 32, 128
VARIANCES = {1e-2: "23", 1e-3: "46", 1e-4: "127", 1e-5: "387", 1e-6: "1209"}
"""Error at gamma = 1 on steps h, 2h over that of DDIM, as the statement prints it, by the variance of two tight modes."""


@check(
    "fact-4",
    verdict="measured",
    mutants={
        "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
        "gamma = 1/2": {"solver": lambda: lambda g: BDIA(g / 2)},
        "steps of equal length": {"steps": lambda: np.ones},
        "DDIM's constant on equal steps": {"share": lambda: 3 / 4},
    },
)
def rough_grids(
    solver: Any = BDIA, steps: Callable[[int], Array] = alternating, share: float = 3 / 5
) -> dict[str, Any]:
    """At gamma = 1: order 1 on h, 2h, with a constant by quadrature whose ratio to DDIM's has no bound; 3/2 on random grids."""
    schedule, begin, end, z, n = schedules.edm(), 3.0, 0.05, np.linspace(-3.0, 3.0, 8)[:, None], 200
    lines, misses = [], []
    for c in (0.1, 0.01):
        tight = _two_atoms(c)
        paths = Paths(tight, schedule, z, begin, end, 120)
        length = 2 * (begin - end) / n  # of two slots
        parasitic = -length / 6 * paths.carried(-1)
        smooth = -5 * length / 18 * paths.carried(1)
        grid = in_sigma_bar(schedule, steps(n), begin, end)
        found, plain = (errors(tight, schedule, s, z, grid) for s in (solver(1), DDIM()))
        misses.append(rms(found - parasitic) / rms(parasitic))
        require(misses[-1] < 0.05, f"variance {c}: the error {found} is not the quadrature {parasitic}")
        measured, quadrature = rms(found) / rms(plain), rms(parasitic) / rms(smooth)
        require(abs(measured / quadrature - 1) < 0.05, f"{measured} times DDIM's error, by quadrature {quadrature}")
        lines.append(f"{measured:.1f} ({quadrature:.1f}) at variance {c:g}")
    coarse = errors(tight, schedule, solver(1), z, in_sigma_bar(schedule, steps(n // 2), begin, end))
    order = float(np.log2(rms(coarse) / rms(found)))
    require(abs(order - 1) < 0.1, f"order {order:.2f} on alternating steps")
    slope, constant = _on_random_grids(solver)
    growing, products, limit = _over_ddim(z, begin, share)
    return {
        "n": n,
        "miss": max(misses),
        "order": order,
        "lines": " and ".join(lines),
        "growing": growing,
        "variances": list(VARIANCES),
        "products": products,
        "limit": limit,
        "seeds": SEEDS,
        "coarse": COARSE,
        "fine": FINE,
        "slope": slope,
        "constant": constant,
    }


def _two_atoms(variance: float) -> GaussianMixture:
    """Return two equal Gaussians at -1 and 1."""
    return GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [variance, variance])


def _over_ddim(z: Array, begin: float, share: float) -> tuple[list[str], list[float], float]:
    """Return the ratios to DDIM's error as printed, times the deviation, and what these tend to as the modes get tight."""
    growing, products = [], []
    for c, text in VARIANCES.items():
        # Chebyshev points that leave the printed digits alone: 240 give 1208.72, and so do 480.
        paths = Paths(_two_atoms(c), schedules.edm(), z, begin, c**0.5 / 2, 240 if c < 1e-4 else 120)
        ratio = share * rms(paths.carried(-1)) / rms(paths.carried(1))
        growing.append(printed(ratio, text))
        products.append(ratio * c**0.5)
    printed(products[-1], "1.21")
    # The products fall towards their limit by differences that shrink by sqrt(10) from one variance to the next.
    shrink = 10**0.5
    require(2 < (products[-3] - products[-2]) / (products[-2] - products[-1]) < 5, f"not like 1/sqrt(c): {products}")
    return growing, products, products[-1] - (products[-2] - products[-1]) / (shrink - 1)


def _on_random_grids(solver: Any) -> tuple[float, float]:
    """Return the order of the root mean square error over seeds, and its size over the predicted one."""
    schedule, begin, end, n = schedules.edm(), 3.0, 0.3, FINE
    paths, found = Paths(law(), schedule, Z, begin, end), []
    for k in (COARSE, FINE):
        made = [in_sigma_bar(schedule, random_steps(k, seed), begin, end) for seed in range(SEEDS)]
        found.append(rms(np.array([from_exact(solver(1), schedule, grid) for grid in made])))
    # Half the alternating sum of h^2 y''/g, h = w (begin - end)/n: E w^4 - (E w^2)^2 = 121/80 - (13/12)^2 for w in [1/2, 3/2].
    variance = 121 / 80 - (13 / 12) ** 2
    squares = -paths.integral(lambda s: (paths.second(s) / paths.growth(s)) ** 2) / (begin - end)
    predicted = np.sqrt(variance * np.mean(squares) / n) * (begin - end) ** 2 / n / 2
    slope, ratio = float(np.log(found[0] / found[1]) / np.log(FINE / COARSE)), float(found[1] / predicted)
    # The root mean square over 16 seeds is known to 1/sqrt(32), so the slope to .18 and the ratio to .18: two of each.
    require(abs(slope - 1.5) < 0.4, f"order {slope:.2f} on random grids")
    require(abs(ratio - 1) < 0.4, f"on random grids {ratio:.2f} of the predicted error")
    return slope, ratio
