"""The order of DDIM and of BDIA-DDIM: eq. (20), and facts 2, 3, 4 and 7; and the tools with which errors are compared with theory.

Fact 4 is about grids whose steps do not vary smoothly, fact 7 about what the start puts into the two modes, and how they travel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import symbolic_order
from bdia_numerics.analysis.measurement.errors import root_mean_square as rms
from bdia_numerics.claims.formal import Formal, bdia_mutants, equal, for_every_slot, require_same, symbols, vectors
from bdia_numerics.claims.ledger import check, mutant, printed, require
from bdia_numerics.grids import Grid
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, DDIM, Heun
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.later import scipy, sympy


class Paths:
    """Exact paths of a distribution on the line in y = z/alpha over s = sigma/alpha, from time `begin` to time `end`.

    Interpolated in Chebyshev points; arrays have the shape ``(*s, B)`` for B states.
    """

    def __init__(
        self, law: GaussianMixture, schedule: Any, z: Array, begin: float, end: float, degree: int = 80
    ) -> None:
        self.far, self.near = float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end))
        nodes = self._s(_points(degree))
        times = [begin, *(schedule.time("sigma_bar", s) for s in nodes[1:-1]), end]
        model, self._degree = law.model(schedule), degree
        flows = [law.flow_and_jacobian(z, begin, t, schedule) for t in times]
        self._slope = _coefficients([model(y, t)[:, 0] for (y, _), t in zip(flows, times, strict=True)])
        moved = [slope[:, 0, 0] / schedule.alpha(t) for (_, slope), t in zip(flows, times, strict=True)]
        self._growth = _coefficients(moved)

    def _s(self, x: Any) -> Any:
        return (self.far + self.near) / 2 + (self.far - self.near) / 2 * x

    def _at(self, coefficients: Array, s: Any, m: int = 0) -> Array:
        x = (2 * np.asarray(s) - self.far - self.near) / (self.far - self.near)
        derived = chebyshev.chebder(coefficients, m, scl=2 / (self.far - self.near)) if m else coefficients
        return np.moveaxis(np.asarray(chebyshev.chebval(x, derived)), 0, -1)

    def second(self, s: Any) -> Array:
        """Return y''."""
        return self._at(self._slope, s, 1)

    def third(self, s: Any) -> Array:
        """Return y'''."""
        return self._at(self._slope, s, 2)

    def growth(self, s: Any) -> Array:
        """Return exp of the integral of J = d eps/dy from s to the end: the derivative of the flow from there."""
        return self._at(self._growth, self.near) / self._at(self._growth, s)

    def jacobian(self, s: Any) -> Array:
        """Return J along the path."""
        return self._at(self._growth, s, 1) / self._at(self._growth, s)

    def integral(self, function: Callable[[Any], Array]) -> Array:
        """Return the integral of a function of s, with values of shape ``(*s, B)``, from the far end to the near one."""
        values = function(self._s(_points(2 * self._degree)))
        ends = chebyshev.chebval([1.0, -1.0], chebyshev.chebint(_coefficients(values)))
        return (self.far - self.near) / 2 * (ends[..., 1] - ends[..., 0])

    def carried(self, sign: int) -> Array:
        """Return the integral of y'' times the flow's derivative to the end (1), or over it, for the parasitic mode (-1)."""
        return self.integral(lambda s: self.second(s) * self.growth(s) ** sign)


def _points(degree: int) -> Array:
    return np.cos(np.pi * np.arange(degree + 1) / degree)


def _coefficients(values: Any) -> Array:
    """Return the coefficients of the Chebyshev interpolant of values in `_points`."""
    found: Array = scipy.fft.dct(np.asarray(values), type=1, axis=0) / (len(values) - 1)
    found[[0, -1]] /= 2
    return found


def errors(
    law: GaussianMixture, schedule: Any, solver: Any, z: Array, grid: Grid, start: Any = None, reading: Any = None
) -> Array:
    """Return exact minus numerical z, or what `reading` makes of the registers, at the data end, one for each state."""
    exact = law.flow(z, grid.t[grid.n], grid.t[0], schedule)
    run = solve(solver, law.model(schedule), grid, z, start)
    return (exact - (run.z if reading is None else reading(run.state.registers)))[:, 0]  # type: ignore[union-attr]


def require_order(coarse: float, fine: float, order: float, what: str, within: float = 0.3) -> float:
    """Return the slope of errors between two numbers of steps, one twice the other; it has to lie around an order.

    The next order adds a part of one at these numbers of steps; the nearest other order is far away.
    """
    slope = float(np.log2(coarse / fine))
    require(abs(slope - order) < within, f"{what}: order {slope:.2f}, not {order}")
    return slope


def in_sigma_bar(schedule: Any, steps: Array, begin: float, end: float) -> Grid:
    """Return a grid whose steps in sigma/alpha, in sampling order, have given ratios."""
    return grids.periodic(schedule, len(steps), pattern=steps[::-1], variable="sigma_bar", t_max=begin, t_min=end)


def in_asinh(schedule: Any, steps: Array, begin: float, end: float) -> Grid:
    """Return a grid whose steps in asinh(sigma/alpha), in sampling order, have given ratios."""
    return grids.periodic(schedule, len(steps), pattern=steps[::-1], variable="asinh", t_max=begin, t_min=end)


def alternating(n: int) -> Array:
    """Return steps h, 2h, h, 2h, ..."""
    return np.where(np.arange(n) % 2 == 0, 1.0, 2.0)


def random_steps(n: int, seed: int) -> Array:
    """Return independent steps, uniform between h/2 and 3h/2."""
    return 0.5 + np.random.default_rng(seed).random(n)


Z = np.linspace(-2.0, 2.0, 5)[:, None]
_BDIA_MUTANTS = bdia_mutants(
    "sign of the backward increment flipped", "ends of the backward increment exchanged", "gamma squared"
)


@cache
def law() -> Any:
    """Return a mixture of two Gaussians on the line."""
    return names.distribution("mixture")


@cache  # claims and their mutants, which change no distribution, share the exact paths
def exact_paths(schedule: Any, begin: float, end: float) -> Paths:
    """Return the paths of `law` from the states `Z`."""
    return Paths(law(), schedule, Z, begin, end)


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
    paths = exact_paths(schedule, 0.5, 0.15)
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
    require_same(p.alpha(1) * leading.subs(g, 1), (q[0] - q[1]) / 2, "alpha_i times the local error at gamma = 1")
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
        found[name] = require_order(coarse, fine, order, name)
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
    ratio = symbolic_order(solver(gamma)).ddim_ratio
    require_same(ratio, (1 - gamma) / (1 + gamma), "the part of DDIM's error on uniform grids")
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
    grid, plain = ddim_errors(schedule, tuple(steps), begin, end)
    found = errors(law(), schedule, solver, Z, grid)
    return float(plain @ found / (plain @ plain))


@cache  # many solvers are compared with one run of DDIM
def ddim_errors(schedule: Any, steps: tuple[float, ...], begin: float, end: float) -> tuple[Grid, Array]:
    """Return the grid of `in_asinh` with these steps, and DDIM's errors on it."""
    grid = in_asinh(schedule, np.array(steps), begin, end)
    return grid, errors(law(), schedule, DDIM(), Z, grid)


SEEDS, COARSE, FINE = 16, 32, 128
FAR, WIDE = 3.0, np.linspace(-3.0, 3.0, 8)[:, None]
VARIANCES = {1e-2: "23", 1e-3: "46", 1e-4: "127", 1e-5: "387", 1e-6: "1209"}
"""Error at gamma = 1 on steps h, 2h over that of DDIM, as the statement prints it, by the variance of two tight modes."""


@check(
    "fact-4",
    verdict="measured",
    mutants={
        **bdia_mutants("sign of the backward increment flipped"),
        "gamma = 1/2": {"solver": lambda: lambda g: BDIA(g / 2)},
        "steps of equal length": {"steps": lambda: np.ones},
        "DDIM's constant on equal steps": {"share": lambda: 3 / 4},
    },
)
def rough_grids(
    solver: Any = BDIA, steps: Callable[[int], Array] = alternating, share: float = 3 / 5
) -> dict[str, Any]:
    """At gamma = 1: order 1 on h, 2h, with a constant by quadrature whose ratio to DDIM's has no bound; 3/2 on random grids."""
    schedule, begin, end, z, n = schedules.edm(), FAR, 0.05, WIDE, 200
    lines, misses = [], []
    for c in (0.1, 0.01):
        tight = _two_atoms(c)
        paths = _tight_paths(c, end)
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
    order = require_order(rms(coarse), rms(found), 1, "alternating steps", 0.1)
    slope, constant = _on_random_grids(solver)
    growing, products, limit = _over_ddim(share)
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


@cache
def _tight_paths(variance: float, end: float) -> Paths:
    # So many Chebyshev points leave the printed digits alone: 250 give 1208.72 at the least variance, and so do 480.
    return Paths(_two_atoms(variance), schedules.edm(), WIDE, FAR, end, int(25 * variance ** (-1 / 6)))


def _over_ddim(share: float) -> tuple[list[str], list[float], float]:
    """Return the ratios to DDIM's error as printed, times the deviation, and what these tend to as the modes get tight."""
    growing, products = [], []
    for c, text in VARIANCES.items():
        paths = _tight_paths(c, c**0.5 / 2)
        ratio = share * rms(paths.carried(-1)) / rms(paths.carried(1))
        growing.append(printed(ratio, text))
        products.append(ratio * c**0.5)
    printed(products[-1], "1.21")
    # The products fall towards their limit by differences that shrink by sqrt(10) from one variance to the next.
    shrink = 10**0.5
    require(2 < (products[-3] - products[-2]) / (products[-2] - products[-1]) < 5, f"not like 1/sqrt(c): {products}")
    return growing, products, products[-1] - (products[-2] - products[-1]) / (shrink - 1)


@cache
def _on_random_grids(solver: Any) -> tuple[float, float]:
    """Return the order of the root mean square error over seeds, and its size over the predicted one."""
    schedule, begin, end, n = schedules.edm(), FAR, 0.3, FINE
    paths, found = exact_paths(schedule, begin, end), []
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


def modes(solver: Any, start: Any, schedule: Any, grid: Grid) -> tuple[Array, Array, float]:
    """Part the difference in y of a run and of one from exact states, at the indices 1 to N-1, by second differences.

    It is smooth + (-1)^(N-i) parasitic; returned are both, and its largest size.
    """
    n, model = grid.n, law().model(schedule)
    exact = law().flow(Z, grid.t[n], grid.t[n - 1], schedule)
    found, right = (solve(solver, model, grid, Z, s, return_trajectory=True).trajectory for s in (start, [exact]))
    d = (found - right)[..., 0] / grid.alpha[:, None]
    sign = (-1.0) ** (n - np.arange(1, n))
    alternating = sign[:, None] * (2 * d[1:-1] - d[2:] - d[:-2]) / 4
    return (d[2:] + 2 * d[1:-1] + d[:-2]) / 4, alternating, float(np.abs(d).max())


def travelled(growth: Any, alpha: Any) -> Any:
    """Return the factor of the parasitic mode from s_N: (alpha_N/alpha_i)^2 exp(integral of J from s_i to s_N).

    `growth` is the smooth mode's factor, exp of the integral of J from s_N to s_i; `alpha` is alpha_N/alpha_i.
    """
    return alpha**2 / growth


@check(
    "fact-7",
    verdict="measured",
    mutants={
        **bdia_mutants("sign of the backward increment flipped"),
        "gamma = 9/10": {"solver": lambda: lambda g: BDIA(9 * g / 10)},
        "alpha factor dropped": {"factor": mutant(travelled, ("alpha**2 / growth", "1 / growth"))},
        "parasitic mode carried like the smooth one": {"factor": mutant(travelled, ("/ growth", "* growth"))},
        "a start of second order": {"start": lambda: Heun},
    },
)
def start_modes(solver: Any = BDIA, start: Any = DDIM, factor: Callable[..., Any] = travelled) -> dict[str, Any]:
    """Both modes after a DDIM start, against the exact flow, on a grid that damps and on one that amplifies."""
    vp, ve = schedules.vp_linear(), schedules.edm()
    cases: dict[str, tuple[Any, Callable[[int], Grid]]] = {
        "VP, asinh grid": (vp, lambda n: grids.asinh(vp, n, t_max=0.7, t_min=0.05)),
        "alpha = 1, uniform in sigma": (ve, lambda n: grids.uniform(ve, n, t_max=3.0, t_min=0.3)),
    }
    lines = []
    for name, (schedule, make) in cases.items():
        coarse, fine = (_over_predicted(solver(1), start(), schedule, make(n), factor) for n in (50, 100))
        for mode, (a, b) in {"smooth": (coarse[0], fine[0]), "parasitic": (coarse[1], fine[1])}.items():
            limit = 2 * b - a  # both have a series in 1/N
            miss = float(np.abs(limit - 1).max())
            require(miss < 0.03, f"{name}: the {mode} part is {limit} of the predicted one")
            lines.append(f"{name}, {mode} {miss:.1%}")
        carried = float(rms(fine[2]))
        require((carried < 1) == (schedule is vp), f"{name}: the parasitic part is carried by {carried:.2f}")
        lines[-1] += f" (carried by {carried:.2f})"
    orders = []
    for other, order in ((start(), 2), (Heun(), 3)):
        some, more = (modes(solver(1), other, vp, cases["VP, asinh grid"][1](n)) for n in (50, 100))
        orders.append(require_order(some[2], more[2], order, f"the effect of {other!r}"))
    return {"lines": "; ".join(lines), "orders": orders}


def _over_predicted(solver: Any, start: Any, schedule: Any, grid: Grid, factor: Any) -> tuple[Array, Array, Array]:
    """Return both modes over the predicted ones at three indices, shape (3, B), and the parasitic factor at the last."""
    n, s = grid.n, grid.sigma / grid.alpha
    paths, (smooth, parasitic, _) = (
        exact_paths(schedule, grid.t[n], grid.t[0]),
        modes(solver, start, schedule, grid),
    )
    indices = np.array([3 * n // 4, n // 4, 1])
    growth = paths.growth(paths.far) / paths.growth(s[indices])
    amplitude = (s[n - 1] - s[n]) ** 2 / 4 * paths.second(paths.far)
    carried = factor(growth, (grid.alpha[n] / grid.alpha[indices])[:, None])
    return (
        smooth[indices - 1] / (-amplitude * growth),
        parasitic[indices - 1] / (amplitude * carried),
        carried[-1],
    )
