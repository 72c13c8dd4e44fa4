"""The order and the error constants of BDIA-EDM: fact 14."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import symbolic_order
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.formal import symbols
from bdia_numerics.claims.leading_errors import Array, Paths, alternating, errors, in_sigma_bar
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.claims.runge_kutta import BDIA_MUTANTS
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.solvers import BDIAHeun, Heun
from bdia_numerics.spaces.later import sympy

FAR, NEAR = 3.0, 0.3


def coupled_share(g: Any, base: str) -> Any:
    """Return the weight of J z''/4 in the local error, against that of Heun."""
    return 1 / (1 + g) if base == "z" else 1 - g


@check(
    "fact-14",
    verdict="refuted",
    mutants={
        **BDIA_MUTANTS,
        "bases exchanged": {"solver": lambda: lambda g, base="z": BDIAHeun(g, {"z": "z_hat", "z_hat": "z"}[base])},
        "gamma dropped": {"share": mutant(coupled_share, ("1 / (1 + g)", "1 / (1 + g - g)"))},
    },
)
def bdia_edm_order(solver: Any = BDIAHeun, share: Callable[[Any, str], Any] = coupled_share) -> dict[str, Any]:
    """Order and error constants by expansion; the global error against a quadrature; a mixture on which it is worse."""
    (g,) = symbols("gamma")
    for base in ("z", "z_hat"):
        found = symbolic_order(solver(g, base))
        require((found.order_rough, found.order) == (2, 2), f"base {base}: orders {found.order_rough}, {found.order}")
        wanted = {"y'''": -sympy.Rational(1, 12), "J y''": share(g, base) / 4}
        same = set(found.principal) == set(wanted)
        same = same and all(sympy.cancel(found.principal[k] - wanted[k]) == 0 for k in wanted)
        require(same, f"base {base}: the leading term is {found.principal}, not {wanted}")
        _on_a_gaussian(g, base, share)
    worst, orders = _measured(solver, share)
    law = GaussianMixture([0.28, 0.72], [[-2.0], [3.9]], [0.07, 0.54])
    z, schedule = 10.0 * np.random.default_rng(0).standard_normal((200, 1)), schedules.edm()
    grid = grids.asinh(schedule, 192, t_max=10.0, t_min=0.02)
    plain, *harm = (rms(errors(law, schedule, s, z, grid)) for s in (Heun(), solver(1, "z"), solver(1, "z_hat")))
    ratios = [h / plain for h in harm]
    said = [printed(ratio, text) for ratio, text in zip(ratios, ("2.03", "3.15"), strict=True)]
    return {"worst": worst, "orders": orders, "law": law, "grid": grid, "said": said}


def _on_a_gaussian(g: Any, base: str, share: Callable[[Any, str], Any]) -> None:
    """Require the defect over Heun's on the flow of a Gaussian to be the stated constant, at every s."""
    s, c = sympy.symbols("s c", positive=True)
    y = sympy.sqrt(c + s**2)
    jacobian = sympy.diff(y, s) / y
    curved, coupled = -sympy.diff(y, s, 3) / 12, jacobian * sympy.diff(y, s, 2) / 4
    stated = (2 + g) / (2 + 2 * g) if base == "z" else (2 - g) / 2
    miss = sympy.simplify((curved + share(g, base) * coupled) / (curved + coupled) - stated)
    require(miss == 0, f"on a Gaussian, base {base}: the ratio to Heun's error differs by {miss}")


def _measured(solver: Any, share: Callable[[Any, str], Any]) -> tuple[float, tuple[float, float]]:
    """Return how far errors are from the quadrature of the defect, and the least and largest order on alternating steps."""
    law = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2])
    schedule, z = schedules.edm(), np.linspace(-5.0, 5.0, 10)[:, None]
    paths, misses, orders = Paths(law, schedule, z, FAR, NEAR), [], []
    curved = -paths.integral(lambda s: paths.growth(s) * paths.third(s)) / 12
    coupled = paths.integral(lambda s: paths.growth(s) * paths.jacobian(s) * paths.second(s)) / 4

    def scaled(made: Any, steps: Callable[[int], Array], n: int) -> Array:
        scaled_error: Array = n**2 * errors(law, schedule, made, z, in_sigma_bar(schedule, steps(n), FAR, NEAR))
        return scaled_error

    for g, base in ((0.0, "z"), (0.5, "z"), (1.0, "z"), (1.0, "z_hat")):
        predicted = (NEAR - FAR) ** 2 * (curved + share(g, base) * coupled)
        coarse, fine = (scaled(solver(g, base), np.ones, n) for n in (50, 100))
        misses.append(rms(2 * fine - coarse - predicted) / rms(predicted))
        require(misses[-1] < 0.05, f"gamma = {g}, base {base}: {misses[-1]:.1%} from the predicted error")
    for base in ("z", "z_hat"):
        coarse, fine = (scaled(solver(1.0, base), alternating, n) for n in (50, 100))
        orders.append(2 + float(np.log2(rms(coarse) / rms(fine))))
        # Slopes between two numbers of steps lie around the order: 1 and 3 are far away.
        require(abs(orders[-1] - 2) < 0.3, f"base {base}, alternating: order {orders[-1]:.2f}")
    return max(misses), (min(orders), max(orders))
