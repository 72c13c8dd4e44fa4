"""Order and error constants of EDICT and CBDIA, facts 12 and 13, and of BDIA-EDM, fact 14."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules
from bdia_numerics.analysis import step_determinants, symbolic_order
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.bdia_order import Paths, Z, alternating, ddim_errors, errors, in_sigma_bar, law, require_order
from bdia_numerics.claims.equations import CBDIA_MUTANTS, EDICT_MUTANTS, EDM_MUTANTS
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, require_same, symbols, vectors
from bdia_numerics.claims.ledger import check, mutant, printed, require
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, CBDIA, EDICT, BDIAHeun, Heun, McCallumFoster
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import sympy

STEPS = (40, 80)
State = Mapping[str, Array]
_READINGS: dict[str, Callable[[State], Array]] = {
    "z": lambda r: r["z"],
    "y": lambda r: r["y"],
    "mean": lambda r: (r["z"] + r["y"]) / 2,
}


def _eigenvalues(solver: Any, parasitic: Any, scale: Callable[[Any], Any]) -> None:
    """Require the difference of the states to be carried by parasitic times scale(a_i), and both states to keep a common value."""
    for_every_slot(solver)
    p, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    got = solve(solver, lambda x, t: 0 * x, p.grid, z1, start={"z": z1, "y": y1}).state
    assert got is not None
    apart = got.registers["z"] - got.registers["y"]
    factor, rest = apart.coefficient("z_1"), apart.coefficient("z_1") + apart.coefficient("y_1")
    require(sympy.cancel(rest) == 0, f"the difference of the states takes up {rest} of a common value")
    require_same(factor, parasitic * scale(p.a(1)), "what carries the difference of the states")


def _shares(solver: Any, reading: Callable[[State], Array], steps: Callable[[int], Array]) -> tuple[float, float]:
    """Return the error over that of DDIM (projected, with sign, extrapolated), and the order between the last two numbers of steps."""
    schedule, ratios, sizes = schedules.vp_linear(), [], []
    for n in STEPS:
        grid, plain = ddim_errors(schedule, tuple(steps(n)), 0.5, 0.15)
        found = errors(law(), schedule, solver, Z, grid, reading=reading)
        ratios.append(float(plain @ found / (plain @ plain)))
        sizes.append(rms(found))
    return 2 * ratios[1] - ratios[0], float(np.log2(sizes[0] / sizes[1]))


def _require(found: tuple[float, float], share: float | None, order: int, what: str) -> str:
    limit, slope = found
    require(abs(slope - order) < 0.35, f"{what}: order {slope:.2f}, not {order}")
    if share is not None:
        require(abs(limit - share) < 0.01, f"{what}: {limit:.4f} of the error of DDIM, not {share:.4f}")
    return (
        f"{what} {round(limit, 3) + 0.0:.3f}"
        + (f" ({share:.3f})" if share is not None else "")
        + f", order {slope:.2f}"
    )


_TOLD = ("end if self.shifted else s.i", "s.i")


@check(
    "fact-12",
    verdict="measured",
    mutants={
        "second evaluation at the old state": EDICT_MUTANTS["second evaluation at the old state"],
        "p and 1 - p exchanged in one mixing": EDICT_MUTANTS["p and 1 - p exchanged in one mixing"],
        "index i where i-1 is asked for": {"solver": mutant(EDICT, _TOLD)},
        "weights of the mean exchanged": {"mean": lambda: lambda p, z, y: (z + p * y) / (1 + p)},
    },
)
def edict_order(
    solver: Any = EDICT, mean: Callable[[Any, Any, Any], Any] = lambda p, z, y: (p * z + y) / (1 + p)
) -> dict[str, Any]:
    """Eigenvalues, determinant, conserved mean, orders and error constants of EDICT, with (12) at either index."""
    (p,), (z1, y1) = symbols("p"), vectors("z_1", "y_1")
    f = Formal(1)
    for shifted in (False, True):
        made = solver(p, shifted=shifted)
        _eigenvalues(made, p**2, lambda a: a)
        (determinant,) = step_determinants(made, f.grid)
        require_same(determinant, (p * f.a(1)) ** 2, "the determinant")
        got = f.step(made, {"z": z1, "y": y1})
        first = f.a(1) * z1 + f.b(1) * f.eps(y1, 1)
        second = f.a(1) * y1 + f.b(1) * f.eps(first, 0 if shifted else 1)
        equal(mean(p, got["z"], got["y"]), mean(p, first, second), "the mean before and after the mixing")
    expanded, last = symbolic_order(solver(p, shifted=True)), symbolic_order(solver(1, shifted=True))
    require_same(expanded.ddim_ratio, (p - 1) / (1 + p), "the part of DDIM's error, index i-1")
    found = (symbolic_order(solver(p)).order, *last.register_orders.values())
    require(found == (1, 1, 1), f"orders as printed, and of z and y at p = 1 with index i-1: {found}")
    lines = [_require(_shares(solver(Fraction(1, 2)), _READINGS["z"], np.ones), None, 1, "p = .5, (12) as printed, z")]
    conserved = _shares(solver(Fraction(4, 5), shifted=True), lambda r: mean(0.8, r["z"], r["y"]), np.ones)
    lines.append(_require(conserved, -1 / 9, 1, "p = 0.8, index i-1, mean"))
    middle = _READINGS["mean"]
    as_printed = _shares(solver(1), middle, np.ones)
    lines.append(_require(as_printed, None, 1, "p = 1, as printed, mean"))
    printed(as_printed[0], "1.37")
    lines.append(_require(_shares(solver(1, shifted=True), _READINGS["z"], np.ones), None, 1, "p = 1, index i-1, z"))
    lines.append(_require(_shares(solver(1, shifted=True), middle, np.ones), 0, 2, "p = 1, index i-1, mean"))
    return {"lines": "; ".join(lines)}


_CASES = (
    (0.5, 0.8, np.ones, "z"),
    (0.8, 0.5, alternating, "y"),
    (0.3, 0.7, np.ones, "z"),
    (0.3, 0.7, alternating, "z"),
)


@check(
    "fact-13",
    verdict="measured",
    mutants={
        **CBDIA_MUTANTS,
        "gammas exchanged": {"solver": lambda: lambda g1, g2: CBDIA(g2, g1)},
        "forward increment at z": {"solver": mutant(CBDIA, ("y, s.eps(y)", "z, s.eps(z)"))},
    },
)
def cbdia_order(solver: Any = CBDIA) -> dict[str, Any]:
    """Eigenvalue and determinant, the special cases, orders and error constants of CBDIA."""
    g1, g2 = symbols("gamma_1", "gamma_2")
    p, (z1, y1) = Formal(1), vectors("z_1", "y_1")
    _eigenvalues(solver(g1, g2), g1 - g2, lambda a: 1 / a)
    (determinant,) = step_determinants(solver(g1, g2), p.grid)
    require_same(determinant, g1 - g2, "the determinant")
    before = {"z": z1, "y": y1}
    coupled = p.step(McCallumFoster(1), before)
    for name, value in p.step(solver(1, 0), before).items():
        equal(value, coupled[name], f"CBDIA (1, 0) and McCallum-Foster, {name}")
    expanded, double = symbolic_order(solver(g1, g2)), symbolic_order(solver(1, 0))
    require_same(expanded.ddim_ratio, (g1 + g2 - 1) / (1 - g1 + g2), "the part of DDIM's error")
    require(tuple(double.register_orders.values()) == (1, 1), f"(1, 0): {double.register_orders}")
    return {"lines": "; ".join(_measured(solver))}


def _measured(solver: Any) -> Iterator[str]:
    for a, b, steps, name in _CASES:
        share = (a + b - 1) / (1 - a + b)
        order = 2 if share == 0 else 1
        yield _require(
            _shares(solver(a, b), _READINGS[name], steps),
            share,
            order,
            f"({a}, {b}) {'uniform' if steps is np.ones else 'alternating'}, {name}",
        )
    odd = _shares(solver(0, 1), _READINGS["y"], alternating)
    same = _shares(BDIA(1), lambda r: r["z"], alternating)
    require(abs(odd[0] - same[0]) < 1e-9, f"(0, 1) has {odd[0]} of DDIM's error, BDIA at gamma = 1 {same[0]}")
    yield _require(odd, None, 1, "(0, 1) alternating, y")
    yield _require(_shares(solver(0, 1), _READINGS["mean"], alternating), 0, 2, "(0, 1) alternating, mean")
    yield _require(_shares(solver(1, 0), _READINGS["z"], np.ones), None, 1, "(1, 0) uniform, z")
    yield _require(_shares(solver(1, 0), _READINGS["mean"], np.ones), 0, 2, "(1, 0) uniform, mean")


FAR, NEAR = 3.0, 0.3


def coupled_share(g: Any, base: str) -> Any:
    """Return the weight of J z''/4 in the local error, against that of Heun."""
    return 1 / (1 + g) if base == "z" else 1 - g


@check(
    "fact-14",
    verdict="refuted",
    mutants={
        **EDM_MUTANTS,
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
    worst, orders = _measured_edm(solver, share)
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


EDM_LAW, EDM_STATES = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.1, 0.2]), np.linspace(-5.0, 5.0, 10)[:, None]


@cache  # no mutant changes them
def _edm_paths() -> Paths:
    return Paths(EDM_LAW, schedules.edm(), EDM_STATES, FAR, NEAR)


def _measured_edm(solver: Any, share: Callable[[Any, str], Any]) -> tuple[float, tuple[float, float]]:
    """Return how far errors are from the quadrature of the defect, and the least and largest order on alternating steps."""
    law, schedule, z = EDM_LAW, schedules.edm(), EDM_STATES
    paths, misses, orders = _edm_paths(), [], []
    curved = -paths.integral(lambda s: paths.growth(s) * paths.third(s)) / 12
    coupled = paths.integral(lambda s: paths.growth(s) * paths.jacobian(s) * paths.second(s)) / 4

    def scaled(made: Any, steps: Callable[[int], Array], n: int) -> Array:
        return n**2 * errors(law, schedule, made, z, in_sigma_bar(schedule, steps(n), FAR, NEAR))

    for g, base in ((0.0, "z"), (0.5, "z"), (1.0, "z"), (1.0, "z_hat")):
        predicted = (NEAR - FAR) ** 2 * (curved + share(g, base) * coupled)
        coarse, fine = (scaled(solver(g, base), np.ones, n) for n in (50, 100))
        misses.append(rms(2 * fine - coarse - predicted) / rms(predicted))
        require(misses[-1] < 0.05, f"gamma = {g}, base {base}: {misses[-1]:.1%} from the predicted error")
    for base in ("z", "z_hat"):
        coarse, fine = (scaled(solver(1.0, base), alternating, n) for n in (50, 100))
        orders.append(require_order(4 * rms(coarse), rms(fine), 2, f"base {base}, alternating"))
    return max(misses), (min(orders), max(orders))
