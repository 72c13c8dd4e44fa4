"""Exact flows (facts 16 and 17), and DDIM's local error against them, eq. (8)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules, spaces
from bdia_numerics.analysis import LeadingError, leading_error
from bdia_numerics.claims.ledger import check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import Gaussian, GaussianMixture, reference_flow
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, DDIM, Heun
from bdia_numerics.spaces.later import sympy

_SHORT = ("z + s.delta", "z + s.value(s.one - s.one / 50) * s.delta")
_STALE = ("s.delta(s.i, s.i - 1, z, s.eps(z))", "s.delta(s.i, s.i - 1, z, s.eps(z, at=s.i - 1))")


@check(
    "eq-8",
    verdict="measured",
    mutants={
        "eps at the wrong time": {"solver": mutant(DDIM, _STALE)},
        "a second-order step": {"solver": lambda: Heun},
    },
)
def ddim_local_error(solver: Any = DDIM) -> dict[str, Any]:
    """One DDIM step has the error h^2 alpha_{i-1} y''/2, no less and no more."""
    import mpmath

    space, schedule = spaces.MPMath(40), schedules.vp_linear()
    with space.working():
        law, ratios, spans = Gaussian([1], space.number(1) / 4), [], ("1e-4", "1e-5", "1e-6", "1e-7")
        for step in map(space.number, spans):
            t = [space.number(1) / 2, space.number(1) / 2 - step]
            grid = grids.from_values(t, [schedule.alpha(x) for x in t], [schedule.sigma(x) for x in t])
            z = np.array([space.number(2)], dtype=object)
            exact = law.flow(z, t[0], t[1], schedule)[0]
            error = exact - solve(solver(), law.model(schedule), grid, z).z[0]
            s, y = schedule.sigma_bar(t[0]), z[0] / schedule.alpha(t[0])
            h = schedule.sigma_bar(t[1]) - s
            second = (
                (y - 1) / 4 / (space.number(1) / 4 + s**2) ** 2
            )  # y'' on the flow y - 1 = K (c + s^2)^(1/2), c = 1/4
            ratios.append(error / (schedule.alpha(t[1]) * h**2 * second / 2))
        misses = [abs(r - 1) for r in ratios]
        require(
            misses[-1] < mpmath.mpf(10) ** -5,
            f"error over alpha h^2 y''/2 tends to {mpmath.nstr(ratios[-1], 8)}, not to 1",
        )
        require(all(9 < a / b < 11 for a, b in pairwise(misses)), "the rest is not of third order")
    return {"spans": spans, "ratios": [mpmath.nstr(r, 8) for r in ratios]}


def _closed_form(y: Any, mu: Any, c: Any, s: Any, s_T: Any) -> Any:
    return mu + ((c + s**2) / (c + s_T**2)) ** Fraction(1, 2) * (y - mu)


@check(
    "fact-16",
    verdict="proved",
    mutants={"mean not moved": {"flow": mutant(_closed_form, ("return mu + ", "return "))}},
)
def gaussian_flow(flow: Callable[..., Any] = _closed_form) -> dict[str, Any]:
    """The closed form solves the ODE, and the library computes it."""
    y, mu = sympy.symbols("y mu", real=True)
    c, s, s_T = sympy.symbols("c s s_T", positive=True)
    path = flow(y, mu, c, s, s_T)
    eps = s * (path - mu) / (c + s**2)  # -s times the score of N(mu, c + s^2)
    require(sympy.simplify(sympy.diff(path, s) - eps) == 0, "the path does not solve dy/ds = eps")
    require(sympy.simplify(path.subs(s, s_T) - y) == 0, "the path does not start at y")
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    law, schedule = Gaussian(rng.standard_normal(3), root @ root.T + np.eye(3) / 10), schedules.vp_linear()
    z = rng.standard_normal((5, 3))
    reference = reference_flow(law.model(schedule), schedule, z, 0.9, 0.01, method="DOP853")
    miss = np.abs(law.flow(z, 0.9, 0.01, schedule) - reference.z).max()
    require(
        miss <= max(10 * reference.error, 1e-12),
        f"the library's flow misses the reference by {miss}, error {reference.error}",
    )
    return {"miss": miss, "reference": reference}


def _distribution(z: Any, t: float, schedule: Any, law: GaussianMixture) -> Any:
    """Return F_t(z) of a one-dimensional mixture by scipy, as a check of its own."""
    from scipy.stats import norm

    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    parts = zip(law.weights, np.ravel(law.means), law.covs, strict=True)
    return sum(w * norm.cdf(z, alpha * m, np.sqrt(alpha**2 * c + sigma**2)) for w, m, c in parts)


def scaled_error(solver: Any, law: GaussianMixture, schedule: Any, z: Any, times: tuple[float, float], n: int) -> Any:
    """Return n (exact - numerical) at the data end of a grid uniform in s, for alpha = 1."""
    grid = grids.uniform(schedule, n, t_max=times[0], t_min=times[1])
    return n * (law.flow(z, *times, schedule) - solve(solver, law.model(schedule), grid, z).z)


def ddim_limit(law: GaussianMixture, schedule: Any, z: Any, times: tuple[float, float]) -> Any:
    """Return the limit of `scaled_error` for DDIM, without an ODE solve.

    The error obeys e' = J e + h y''/2 to leading order; the exponential of the integral of J is the derivative of the
    flow, p_s(y_s)/p_0(y_0), so the limit is the integral of (p_s/p_0) y'' ds, times the span over 2.
    """
    from scipy.integrate import quad

    span = times[1] - times[0]

    def eps(s: float) -> float:
        return float(law.model(schedule)(law.flow(z, times[0], s, schedule), s)[0])

    def integrand(s: float) -> float:
        second = (eps(s + 1e-4) - eps(s - 1e-4)) / 2e-4
        propagated = law.flow_jacobian(law.flow(z, times[0], s, schedule), s, times[1], schedule)
        return second * float(propagated[0, 0])

    value, _ = quad(integrand, *times, epsabs=1e-9, epsrel=1e-8, limit=200)
    return value * span / 2


@check(
    "fact-17",
    verdict="measured",
    mutants={
        "weights swapped in the flow": {"flow_law": lambda: _swapped},
        "a solver of another order": {"solver": lambda: BDIA},
        "a step that stops short": {"solver": mutant(DDIM, _SHORT)},
        "the oscillating mode left out": {"term": lambda: _smooth_term},
        "another gamma in the runs": {"two_step": lambda: lambda: BDIA(Fraction(9, 10))},
    },
)
def cdf_flow(
    flow_law: Callable[[GaussianMixture], Any] = lambda law: law,
    solver: Any = DDIM,
    term: Callable[[LeadingError, int], float] = LeadingError.at,
    two_step: Callable[[], Any] = BDIA,
) -> dict[str, Any]:
    """The flow conserves the distribution function; leading errors of DDIM and BDIA are quadratures."""
    y, x = sympy.symbols("y x", real=True)
    s = sympy.Symbol("s", positive=True)
    p = sympy.exp(-((y - x) ** 2) / (2 * s**2)) / (sympy.sqrt(2 * sympy.pi) * s)
    F = (1 + sympy.erf((y - x) / (sympy.sqrt(2) * s))) / 2
    require(sympy.simplify(sympy.diff(F, s) - s * sympy.diff(p, y)) == 0, "dF/ds is not s p'")
    law = GaussianMixture([0.3, 0.5, 0.2], [[-2.0], [0.5], [3.0]], [0.04, 0.25, 0.09])
    schedule, start, end = schedules.edm(), 10.0, 0.05
    z = np.linspace(-35, 35, 15)[:, None]
    moved = flow_law(law).flow(z, start, end, schedule)
    reference = reference_flow(law.model(schedule), schedule, z, start, end, method="DOP853")
    miss = float(np.abs(moved - reference.z).max())
    kept = np.abs(_distribution(moved, end, schedule, law) - _distribution(z, start, schedule, law)).max()
    require(kept < 1e-13, f"F moves by {kept}")
    require(miss < reference.error, f"flow and reference differ by {miss}, error {reference.error}")
    point = np.array([4.0])
    limit = ddim_limit(law, schedule, point, (5.0, 0.5))
    found = [float(scaled_error(solver(), law, schedule, point, (5.0, 0.5), n)[0]) for n in (125, 250, 500)]
    extrapolated = 2 * found[2] - found[1]
    require(
        abs(extrapolated / limit - 1) < 2e-3,
        f"n times the error tends to {extrapolated:.6g}, the quadrature is {limit:.6g}",
    )
    pair = GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.0625])
    second = leading_error(BDIA(1), pair, schedule, 1.5, t_max=2, t_min=Fraction(1, 2), rtol=1e-2)
    shares = [
        float(scaled_error(two_step(), pair, schedule, np.array([1.5]), (2.0, 0.5), n)[0]) / n / term(second, n)
        for n in (200, 201)
    ]
    require(max(abs(r - 1) for r in shares) < 2e-3, f"BDIA's errors are {shares} of their leading terms")
    return {
        "kept": kept,
        "reference": reference,
        "miss": miss,
        "found": found,
        "extrapolated": extrapolated,
        "limit": limit,
        "second": second,
        "shares": shares,
    }


def _smooth_term(found: LeadingError, n: int) -> float:
    return float(found.coefficient / n**found.order)


def _swapped(law: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(law.weights[::-1], law.means, law.covs)
