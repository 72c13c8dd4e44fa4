"""Distributions with exact flows beyond one Gaussian and the line (fact 18), and what a flow is where there is none (fact 19)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import schedules
from bdia_numerics.claims.ledger import Skipped, check, require
from bdia_numerics.claims.mutants import mutant
from bdia_numerics.problems import (
    Empirical,
    Gaussian,
    GaussianMixture,
    GuidedGaussians,
    Product,
    Uniform,
    certified_flow,
    reference_flow,
)
from bdia_numerics.spaces.later import sympy

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


def _wider(law: Any) -> Any:
    """Another distribution: with the wrong variances its flow is not the ODE's."""
    return GaussianMixture(law.weights, law.means, law.covs * 2) if isinstance(law, GaussianMixture) else law


def _unguided(law: Any) -> Any:
    return law.cond if isinstance(law, GuidedGaussians) else law


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
        "guidance dropped from the flow": {"flow_law": lambda: _unguided},
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
    schedule, z = schedules.edm(), np.array([[1.5, -2.0], [-0.25, 3.0], [2.0, 2.5]])
    worst = 0.0
    for name, law in _laws().items():
        require(law.flow_certificate.exact, f"{name}: the library knows no exact flow")
        run = reference_flow(law.model(schedule), schedule, z, 3.0, 0.25, rtol=1e-10, method="DOP853")
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
