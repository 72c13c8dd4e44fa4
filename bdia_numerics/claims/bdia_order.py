"""The order of DDIM and of BDIA-DDIM: eq. (20), and facts 2 and 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import symbolic_order
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, symbols, vectors
from bdia_numerics.claims.leading_errors import (
    Array,
    Paths,
    alternating,
    errors,
    in_asinh,
    in_sigma_bar,
    random_steps,
)
from bdia_numerics.claims.ledger import check, printed, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.grids import Grid
from bdia_numerics.solvers import BDIA, DDIM, Heun
from bdia_numerics.spaces.later import sympy

Z = np.linspace(-2.0, 2.0, 5)[:, None]
_BDIA_MUTANTS = {
    "sign of the backward increment flipped": {"solver": mutant(BDIA, ("- g * backward", "+ g * backward"))},
    "ends of the backward increment exchanged": {
        "solver": mutant(BDIA, ("s.delta(s.i, s.i + 1, z, e)", "s.delta(s.i + 1, s.i, z, e)"))
    },
    "gamma squared": {"solver": mutant(BDIA, ("s.value(self.gamma)", "s.value(self.gamma) ** 2"))},
}


def law() -> Any:
    """Return a mixture of two Gaussians on the line."""
    return names.distribution("mixture")


@check(
    "eq-20",
    verdict="measured",
    mutants={
        "a step of second order": {"solver": lambda: Heun},
        "eps at the wrong time": {
            "solver": mutant(
                DDIM, ("s.delta(s.i, s.i - 1, z, s.eps(z))", "s.delta(s.i, s.i - 1, z, s.eps(z, at=s.i - 1))")
            )
        },
        "ends of the slot exchanged": {
            "solver": mutant(DDIM, ("s.i, s.i - 1, z, s.eps(z)", "s.i - 1, s.i, z, s.eps(z)"))
        },
    },
)
def ddim_order(solver: Any = DDIM) -> dict[str, Any]:
    """The sum of increments misses the integral by a global error of order 1, with its constant."""
    schedule, lines = schedules.vp_linear(), []
    paths = Paths(law(), schedule, Z, 0.5, 0.15)
    carried = paths.carried(1) * (paths.near - paths.far)
    # The defect h^2 y''/2 of a slot, summed: per unit of s the mean of h^2 over that of h, 1 or (1 + 4)/(1 + 2) * 2/3.
    for name, steps, weight in (("uniform", np.ones, 1.0), ("alternating h, 2h", alternating, 10 / 9)):
        coarse, middle, fine = (
            n * errors(law(), schedule, solver(), Z, in_sigma_bar(schedule, steps(n), 0.5, 0.15)) for n in (30, 60, 120)
        )
        limit = schedule.alpha(0.15) * weight * carried / 2
        found = (8 * fine - 6 * middle + coarse) / 3  # N times the error has an expansion in 1/N
        miss = rms(found - limit) / rms(limit)
        require(miss < 0.01, f"{name} grid: N times the error tends to {found}, not to {limit}")
        lines.append(f"{name} {miss:.1%}")
    return {"lines": lines}


def nearly_constant(delta: Any, u: Any) -> Any:
    """Return q_i of a VP grid uniform in u = asinh(sigma/alpha), over its supremum 4 sinh^2(delta/2)."""
    h = sympy.sinh(u - delta) - sympy.sinh(u)
    return h**2 / (4 * sympy.sinh(delta / 2) ** 2 * sympy.cosh(u) * sympy.cosh(u - delta))


@check(
    "fact-2",
    verdict="measured",
    mutants={
        **_BDIA_MUTANTS,
        "3/2 for 1/2, as printed elsewhere": {"half": lambda: lambda one: 3 * one / 2},
        "the other alpha in q": {"product": lambda: lambda p, i: p.alpha(i) ** 2},
    },
)
def local_error(
    solver: Any = BDIA,
    half: Callable[[Any], Any] = lambda one: one / 2,
    product: Callable[[Formal, int], Any] = lambda p, i: p.alpha(i) * p.alpha(i - 1),
) -> dict[str, Any]:
    """The local error by Taylor's formula on the program; orders at gamma = 1 on smooth and other grids."""
    p, (g,), (y, d1, d2, d3) = Formal(2), symbols("gamma"), vectors("y", "y'", "y''", "y'''")
    for_every_slot(solver(g))
    h, older = p.s(0) - p.s(1), p.s(1) - p.s(2)

    def taylor(x: Any) -> Any:
        return y + x * d1 + x**2 / 2 * d2 + x**3 / 6 * d3

    before = {"z_prev": p.alpha(2) * taylor(-older), "z": p.alpha(1) * y}
    after = p.step(solver(g), before)["z"]
    numerical = after + after.coefficient(next(iter(p.eps(p.alpha(1) * y, 1).terms))) * (d1 - p.eps(p.alpha(1) * y, 1))
    leading = half(sympy.Integer(1)) * (p.alpha(0) * h**2 - g * p.alpha(2) * older**2)
    third = (p.alpha(0) * h**3 + g * p.alpha(2) * older**3) / 6
    equal(p.alpha(0) * taylor(h) - numerical, leading * d2 + third * d3, "the local error")
    q = [product(p, 1) * h**2, product(p, 2) * older**2]
    telescoped = sympy.cancel(p.alpha(1) * leading.subs(g, 1) - (q[0] - q[1]) / 2)
    require(
        telescoped == 0, f"alpha_i times the local error at gamma = 1 is not (q_i - q_(i+1))/2, but for {telescoped}"
    )
    delta, u = sympy.symbols("delta u", positive=True)
    closed = 1 - (sympy.cosh(delta) - 1) / (sympy.cosh(2 * u - delta) + sympy.cosh(delta))
    ratio = (nearly_constant(delta, u) - closed).rewrite(sympy.exp)
    require(sympy.simplify(ratio) == 0, "q on the asinh grid has another form")
    steps = 20
    spread = 1 - 1 / np.cosh((np.arcsinh(14.6) - np.arcsinh(0.01)) / steps / 2) ** 2
    printed(100 * spread, "0.7 percent")
    orders = _orders_at_one(solver)
    return {"spread": spread, "steps": steps, "orders": [f"{name} {order:.2f}" for name, order in orders.items()]}


def _orders_at_one(solver: Any) -> dict[str, float]:
    schedule = schedules.vp_linear()

    def jump(n: int) -> Array:
        return np.where(np.arange(n) < n // 2, 1.0, 2.0)

    makers: dict[str, tuple[Callable[[int], Grid], float]] = {
        "asinh": (lambda n: grids.asinh(schedule, n, t_max=0.7, t_min=0.05), 2),
        "with one 2:1 jump": (lambda n: in_asinh(schedule, jump(n), 0.7, 0.05), 2),
        "alternating h, 2h": (lambda n: in_asinh(schedule, alternating(n), 0.7, 0.05), 1),
        "uniform in t down to 0": (lambda n: grids.uniform(schedule, n, t_max=0.7, t_min=0), 1),
    }
    found = {}
    for name, (make, order) in makers.items():
        coarse, fine = (rms(from_exact(solver(1), schedule, make(n))) for n in (80, 160))
        found[name] = float(np.log2(coarse / fine))
        # A slope between two numbers of steps comes with their next order; 3/2 would be the nearest other one.
        require(abs(found[name] - order) < 0.3, f"{name}: order {found[name]:.2f}, not {order}")
    return found


def from_exact(solver: Any, schedule: Any, grid: Grid) -> Array:
    """Return errors of a two-step solver from an exact start."""
    first = law().flow(Z, grid.t[grid.n], grid.t[grid.n - 1], schedule)
    return errors(law(), schedule, solver, Z, grid, [first])


_SCHEDULES = {
    "VP": (schedules.vp_linear(), 0.5, 0.15),
    "flow": (schedules.flow(), 0.75, 0.3),
    "VE": (schedules.edm(), 3.0, 0.4),
}


@check("fact-3", verdict="measured", mutants=_BDIA_MUTANTS)
def below_one(solver: Any = BDIA) -> dict[str, Any]:
    """The error of BDIA over that of DDIM, for gamma < 1, on smooth, alternating and random grids."""
    (gamma,), lines = symbols("gamma"), []
    ratio = symbolic_order(solver(gamma)).ddim_ratio  # None where the error has another derivative than DDIM's
    same = ratio is not None and sympy.cancel(ratio - (1 - gamma) / (1 + gamma)) == 0
    require(same, f"on uniform grids {ratio} of DDIM's error")
    cases = (
        ("VP", "uniform", np.ones, 0.5),
        ("flow", "uniform", np.ones, 0.75),
        ("VP", "alternating", alternating, 0.75),
        ("VE", "alternating", alternating, 0.5),
    )
    for name, kind, steps, g in cases:
        coarse, fine = (_share(solver(g), name, steps(n)) for n in (60, 120))
        limit = 2 * fine - coarse  # the ratio differs from its limit by a series in 1/N
        require(abs(limit - (1 - g) / (1 + g)) < 0.006, f"{name}, {kind}, gamma = {g}: {limit:.4f} of DDIM's error")
        lines.append(f"{name}, {kind}, gamma {g}: {limit:.3f} ({(1 - g) / (1 + g):.3f})")
    ratios = [_share(solver(0.5), "VP", random_steps(120, seed)) for seed in range(2)]
    require(all(abs(r - 1 / 3) < 0.03 for r in ratios), f"on random grids at 120 steps {ratios} of DDIM's error")
    early, late = (_share(solver(0.98), "VP", alternating(n)) for n in (10, 320))
    require(
        early > 0.5 > 0.2 > late, f"gamma = .98 should be far from 0.01 at 10 steps, nearer at 320: {early}, {late}"
    )
    return {"lines": "; ".join(lines), "ratios": ratios, "early": early, "late": late}


def _share(solver: Any, name: str, steps: Array) -> float:
    """Return the error of a solver over that of DDIM, as a projection."""
    schedule, begin, end = _SCHEDULES[name]
    grid = in_asinh(schedule, steps, begin, end)
    plain, found = (errors(law(), schedule, s, Z, grid) for s in (DDIM(), solver))
    return float(plain @ found / (plain @ plain))
