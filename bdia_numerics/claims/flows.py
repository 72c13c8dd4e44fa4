"""Exact flows (facts 16 to 19), and DDIM's local error against them, eq. (8).

Fact 18 names distributions beyond one Gaussian and the line, fact 19 says what a flow is where none is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bdia_numerics import grids, schedules, spaces
from bdia_numerics.analysis import LeadingError, leading_error
from bdia_numerics.claims.bdia_order import Paths, errors
from bdia_numerics.claims.ledger import Skipped, check, mutant, require
from bdia_numerics.problems import (
    Empirical,
    Gaussian,
    GaussianMixture,
    GuidedGaussians,
    Product,
    ReferenceFlow,
    Uniform,
    certified_flow,
    reference_flow,
)
from bdia_numerics.runs.solving import solve
from bdia_numerics.solvers import BDIA, DDIM, Heun
from bdia_numerics.spaces.later import mp, special, sympy

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
            misses[-1] < mp.mpf(10) ** -5,
            f"error over alpha h^2 y''/2 tends to {mp.nstr(ratios[-1], 8)}, not to 1",
        )
        require(all(9 < a / b < 11 for a, b in pairwise(misses)), "the rest is not of third order")
    return {"spans": spans, "ratios": [mp.nstr(r, 8) for r in ratios]}


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
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    parts = zip(law.weights, np.ravel(law.means), law.covs, strict=True)
    return sum(w * special.ndtr((z - alpha * m) / np.sqrt(alpha**2 * c + sigma**2)) for w, m, c in parts)


def scaled_error(solver: Any, law: GaussianMixture, schedule: Any, z: Any, times: tuple[float, float], n: int) -> Any:
    """Return n (exact - numerical) at the data end of a grid uniform in s, for alpha = 1."""
    return n * errors(law, schedule, solver, z, grids.uniform(schedule, n, t_max=times[0], t_min=times[1]))


def ddim_limit(law: GaussianMixture, schedule: Any, z: Any, times: tuple[float, float]) -> Any:
    """Return the limit of `scaled_error` for DDIM, without an ODE solve.

    The error obeys e' = J e + h y''/2 to leading order; the exponential of the integral of J is the derivative of the
    flow, p_s(y_s)/p_0(y_0), so the limit is the integral of (p_s/p_0) y'' ds, times the span over 2.
    """
    return Paths(law, schedule, z, *times).carried(1) * (times[1] - times[0]) / 2


def _of_fact_17() -> tuple[GaussianMixture, GaussianMixture, Any, Any]:
    """Return the distributions of fact 17, a state of the first one, and the schedule."""
    three = GaussianMixture([0.3, 0.5, 0.2], [[-2.0], [0.5], [3.0]], [0.04, 0.25, 0.09])
    return three, GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.0625]), np.array([[4.0]]), schedules.edm()


@cache  # no mutant changes them
def _quadratures() -> tuple[float, LeadingError]:
    """Return DDIM's limit for the first distribution, and BDIA's leading error for the second one."""
    law, pair, point, schedule = _of_fact_17()
    second = leading_error(BDIA(1), pair, schedule, 1.5, t_max=2, t_min=Fraction(1, 2), rtol=1e-2)
    return float(ddim_limit(law, schedule, point, (5.0, 0.5))[0]), second


@check(
    "fact-17",
    verdict="measured",
    mutants={
        "weights swapped in the flow": {
            "flow_law": lambda: lambda law: GaussianMixture(law.weights[::-1], law.means, law.covs)
        },
        "a solver of another order": {"solver": lambda: BDIA},
        "a step that stops short": {"solver": mutant(DDIM, _SHORT)},
        "the oscillating mode left out": {"term": lambda: lambda found, n: float(found.coefficient / n**found.order)},
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
    law, pair, point, schedule = _of_fact_17()
    start, end = 10.0, 0.05
    z = np.linspace(-35, 35, 15)[:, None]
    moved = flow_law(law).flow(z, start, end, schedule)
    reference = reference_flow(law.model(schedule), schedule, z, start, end, method="DOP853")
    miss = float(np.abs(moved - reference.z).max())
    kept = np.abs(_distribution(moved, end, schedule, law) - _distribution(z, start, schedule, law)).max()
    require(kept < 1e-13, f"F moves by {kept}")
    require(miss < reference.error, f"flow and reference differ by {miss}, error {reference.error}")
    limit, second = _quadratures()
    found = [float(scaled_error(solver(), law, schedule, point, (5.0, 0.5), n)[0]) for n in (125, 250, 500)]
    extrapolated = 2 * found[2] - found[1]
    require(
        abs(extrapolated / limit - 1) < 2e-3,
        f"n times the error tends to {extrapolated:.6g}, the quadrature is {limit:.6g}",
    )
    shares = [
        float(scaled_error(two_step(), pair, schedule, np.array([[1.5]]), (2.0, 0.5), n)[0]) / n / term(second, n)
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


_TILT = np.array([[0.6, -0.8], [0.8, 0.6]])


def _radial(r: Any, v: Any, size: Any) -> tuple[Any, Any, Any]:
    """Return F of the radius, the density of y, and the surface of the unit sphere, for N(0, v) in `size` dimensions."""
    inside = sympy.lowergamma(size / 2, r**2 / (2 * v)) / sympy.gamma(size / 2)
    return (
        inside,
        (2 * sympy.pi * v) ** (-size / 2) * sympy.exp(-(r**2) / (2 * v)),
        (2 * sympy.pi ** (size / 2) / sympy.gamma(size / 2)),
    )


def _guided_path(s: Any, a: Any, b: Any, w: Any) -> Any:
    """Return y - mean, but for a factor, under guidance of variances a (uncond) and b (cond)."""
    return (a + s**2) ** ((1 - w) / 2) * (b + s**2) ** (w / 2)


def _level(c: Any, s: Any) -> Any:
    """Return the noise level at which atoms have the distribution that variance c^2 has at s."""
    return sympy.sqrt(c**2 + s**2)


@cache  # mutants of the runs share it with the check
def _symbolic(radial: Callable[..., Any], guided: Callable[..., Any], level: Callable[..., Any]) -> None:
    r, s, a, b, c, D = sympy.symbols("r s a b c D", positive=True)
    w, m, n, y, angle = sympy.symbols("w m n y angle", real=True)

    inside, density, surface = radial(r, a + s**2, D)
    # Both sides are positive products: their quotient is 1 where its logarithm, taken apart, is 0.
    quotient = sympy.diff(inside, s) / (s * surface * r ** (D - 1) * sympy.diff(density, r))
    kept = sympy.simplify(sympy.expand_log(sympy.log(quotient), force=True)) == 0
    require(kept, "the radius does not conserve its distribution function")

    path = guided(s, a, b, w)
    eps = s * ((1 - w) / (a + s**2) + w / (b + s**2)) * path
    require(sympy.simplify((sympy.diff(path, s) - eps) / path) == 0, "the power law does not solve the guided ODE")
    mixed = (1 - w) * s * (y - m) / (a + s**2) + w * s * (y - n) / (a + s**2)
    require(
        sympy.simplify(mixed - s * (y - (m + w * (n - m))) / (a + s**2)) == 0, "equal covariances do not shift the mean"
    )

    g = level(c, s)
    score = sympy.Function("score")(y)  # of the distribution at this level, whichever way it is reached
    require(sympy.simplify(-s * score + g * score * sympy.diff(g, s)) == 0, "atoms at the level do not move alike")

    p, q = sympy.Function("p"), sympy.Function("q")
    x_1, x_2 = sympy.symbols("x_1 x_2", real=True)
    u, v = (x_1 * sympy.cos(angle) + x_2 * sympy.sin(angle), -x_1 * sympy.sin(angle) + x_2 * sympy.cos(angle))
    log = sympy.log(p(u)) + sympy.log(q(v))
    gradient = [sympy.diff(log, x) for x in (x_1, x_2)]
    along = gradient[0] * sympy.cos(angle) + gradient[1] * sympy.sin(angle)
    alone = sympy.diff(sympy.log(p(r)), r).subs(r, u)
    require(sympy.simplify((along - alone).doit()) == 0, "a factor's score depends on the other factor")


def _laws() -> dict[str, Any]:
    covs = [_TILT @ np.diag([c, 0.5]) @ _TILT.T for c in (0.25, 0.0625)]
    covs = [(c + c.T) / 2 for c in covs]
    pair = GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.0625])
    return {
        "product": Product([pair, Uniform([0.0], [1.0])], _TILT),
        "line": GaussianMixture([0.25, 0.75], [[0.0, 0.0], [0.6, 0.8]], covs),
        "radial": GaussianMixture([0.25, 0.75], [[0.5, -0.5]] * 2, [0.0625, 1.0]),
        "atoms on a line": Empirical([[0.0, 1.0], [1.0, 3.0], [-1.0, -1.0]]),
        "guided, equal covariances": GuidedGaussians(Gaussian([1.0, 0.0], covs[0]), Gaussian([0.0, 1.0], covs[0]), 3),
        "guided, equal means": GuidedGaussians(Gaussian([1.0, 0.0], covs[0]), Gaussian([1.0, 0.0], covs[1]), 3),
    }


STATES = np.array([[1.5, -2.0], [-0.25, 3.0], [2.0, 2.5]])


@cache  # no mutant changes them
def _references() -> dict[str, tuple[Any, ReferenceFlow]]:
    """Return the distributions, each with a numerical solution from `STATES`."""
    ends: dict[str, Any] = {"t_from": 3.0, "t_to": 0.25, "rtol": 1e-10, "method": "DOP853"}
    edm = schedules.edm()
    return {name: (law, reference_flow(law.model(edm), edm, STATES, **ends)) for name, law in _laws().items()}


def _wider(law: Any) -> Any:
    """Another distribution: with the wrong variances its flow is not the ODE's."""
    return GaussianMixture(law.weights, law.means, law.covs * 2) if isinstance(law, GaussianMixture) else law


@check(
    "fact-18",
    verdict="proved",
    mutants={
        "a radius in one dimension less": {
            "radial": mutant(_radial, ("lowergamma(size / 2", "lowergamma((size - 1) / 2"))
        },
        "guidance powers exchanged": {"guided": mutant(_guided_path, ("((1 - w) / 2)", "(w / 2)"))},
        "levels added, not their squares": {"level": mutant(_level, ("c**2 + s**2", "(c + s) ** 2"))},
        "variances doubled in the flow": {"flow_law": lambda: _wider},
        "guidance dropped from the flow": {"flow_law": lambda: lambda law: getattr(law, "cond", law)},
    },
)
def distributions_with_exact_flows(
    radial: Callable[..., Any] = _radial,
    guided: Callable[..., Any] = _guided_path,
    level: Callable[..., Any] = _level,
    flow_law: Callable[[Any], Any] = lambda law: law,
) -> dict[str, Any]:
    """Each family's flow solves the ODE, in symbols; the library's flows meet independent solutions."""
    _symbolic(radial, guided, level)
    schedule, z, worst = schedules.edm(), STATES, 0.0
    for name, (law, run) in _references().items():
        require(law.flow_certificate.exact, f"{name}: the library knows no exact flow")
        miss = float(np.abs(flow_law(law).flow(z, 3.0, 0.25, schedule) - run.z).max())
        require(miss <= run.error + 1e-12, f"{name}: flow and reference differ by {miss:.1e}, error {run.error:.1e}")
        worst = max(worst, miss)
    atoms, wide = (Empirical([[0.0, 1.0], [1.0, 3.0], [-1.0, -1.0]], width) for width in (0.0, 0.75))
    far, near = (float(np.hypot(0.75, s)) for s in (3.0, 0.25))
    miss = float(np.abs(atoms.flow(z, far, near, schedule) - wide.flow(z, 3.0, 0.25, schedule)).max())
    require(miss < 1e-13, f"atoms at the shifted level leave the Gaussians by {miss:.1e}")
    return {"worst": worst, "miss": miss}


_PLANE = (
    [0.5, 0.25, 0.25],
    [[-1.0, 0.0], [1.0, 0.5], [0.0, 1.0]],
    [0.25, 0.0625, 0.25],
)


@check(
    "fact-19",
    verdict="measured",
    extra="balls",
    mutants={
        "an estimate of nothing": {
            "reference": mutant(reference_flow, ("np.abs(fine - coarse)", "np.abs(fine - fine)"))
        },
        "alpha forgotten": {
            "reference": mutant(reference_flow, ("fine.astype(array.dtype)", "(fine / 2).astype(array.dtype)"))
        },
        "a distribution with a closed form": {
            "outside": lambda: lambda: GaussianMixture([0.5, 0.5], _PLANE[1][:2], [0.25, 0.25])
        },
    },
)
def flows_elsewhere(
    reference: Callable[..., Any] = reference_flow,
    outside: Callable[[], Any] = lambda: GaussianMixture(*_PLANE),
) -> dict[str, Any]:
    """Without a closed form: a reference whose estimate covers a tighter solution; and the certificate says which."""
    law, schedule = outside(), schedules.edm()
    kinds = {name: inner.flow_certificate.kind for name, inner in _laws().items()}
    require("reference" not in kinds.values(), f"certificates of exact flows: {kinds}")
    require(
        law.flow_certificate.kind == "reference",
        f"outside the families the certificate says {law.flow_certificate.kind}",
    )
    z, ratios = np.array([[1.5, -2.0], [-0.25, 3.0], [2.0, 2.5]]), []
    model = law.model(schedule)
    tight = reference_flow(model, schedule, z, 3.0, 0.25, rtol=3e-14, method="DOP853")
    for rtol in (1e-6, 1e-8, 1e-10):
        run = reference(model, schedule, z, 3.0, 0.25, rtol=rtol, method="DOP853")
        miss = float(np.abs(run.z - tight.z).max())
        require(0 < miss <= run.error, f"rtol {rtol:.0e}: error {miss:.1e}, estimate {run.error:.1e}")
        require(run.error < 1e5 * rtol, f"rtol {rtol:.0e}: the estimate {run.error:.1e} is idle")
        ratios.append(run.error / miss)
    certificate = law.flow_certified(z, 3.0, 0.25, schedule).certificate
    require(certificate.kind == "reference" and certificate.error, f"the flow's own certificate is {certificate}")
    try:
        enclosed = certified_flow(law, schedule, z[:1], 3.0, 2.5, prec=64)
    except ImportError as error:
        raise Skipped(str(error)) from None
    near = reference(model, schedule, z[:1], 3.0, 2.5, method="DOP853")
    gap = max(abs(float(a.mid()) - b) for a, b in zip(enclosed.z[0], near.z[0], strict=True))
    radius = enclosed.certificate.uncertainty
    require(gap <= radius + near.error and radius < 1e-9, f"the enclosure, radius {radius:.0e}, is {gap:.0e} away")
    try:
        law.flow_jacobian(z, 3.0, 0.25, schedule)
    except ValueError:
        pass
    else:
        require(False, "a derivative is given where no closed form exists")
    return {"ratios": ratios, "radius": radius, "gap": gap, "kinds": kinds}
