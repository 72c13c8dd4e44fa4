"""The equations of section 2, (2)-(5): the probability-flow ODE, and what the network is trained to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics import schedules
from bdia_numerics.claims.as_printed import AS_PRINTED, AsPrinted
from bdia_numerics.claims.ledger import check, mutant, require
from bdia_numerics.problems import GaussianMixture
from bdia_numerics.schedules.base import Derived, probability_flow
from bdia_numerics.spaces.later import sympy


def _abstract_schedule() -> tuple[Any, Any, Any, Any]:
    """Return t and a schedule whose alpha and sigma are arbitrary positive functions of it."""
    t = sympy.Symbol("t", positive=True)
    alpha, sigma = (sympy.Function(name, positive=True) for name in ("alpha", "sigma"))
    return t, alpha(t), sigma(t), schedules.from_functions(alpha, sigma)


def _kernel(z: Any, x: Any, alpha: Any, sigma: Any) -> Any:
    return sympy.exp(-((z - alpha * x) ** 2) / (2 * sigma**2)) / (sympy.sqrt(2 * sympy.pi) * sigma)


_HALF = ("schedule.diffusion2(t) / 2", "schedule.diffusion2(t)")
_NO_DRIFT = ("2 * sigma * (self.sigma_dot(t) - self.drift(t) * sigma)", "2 * sigma * self.sigma_dot(t)")


@check(
    "eq-2",
    verdict="proved",
    mutants={"half of g^2 forgotten": {"flow": mutant(probability_flow, _HALF)}},
)
def probability_flow_keeps_the_marginals(flow: Callable[..., Any] = probability_flow) -> None:
    """The continuity equation of (2), for any schedule and any data."""
    t, alpha, sigma, schedule = _abstract_schedule()
    z, x = sympy.symbols("z x", real=True)
    q = _kernel(z, x, alpha, sigma)
    velocity = flow(lambda state, time: sympy.diff(q, z) / q, schedule)(z, t)
    defect = sympy.simplify((sympy.diff(q, t) + sympy.diff(velocity * q, z)) / q)
    require(defect == 0, f"the density of (1) is not transported by (2): {defect}")
    s = sympy.Symbol("s", positive=True)
    p = _kernel(z, x, 1, s)
    transported = sympy.diff(p, s) + sympy.diff(-s * sympy.diff(p, z), z)  # eps p = -s (log p)' p = -s p'
    require(sympy.simplify(transported / p) == 0, "in y and s the velocity is not eps")


@check("eq-3", verdict="proved", mutants={"drift left out of g^2": {"derived": mutant(Derived, _NO_DRIFT)}})
def drift_and_diffusion(derived: Any = Derived) -> None:
    """(3), and its second form alpha^2 d(s^2)/dt."""
    t, alpha, sigma, schedule = _abstract_schedule()
    f, g2 = schedule.drift(t), derived.diffusion2(schedule, t)
    require(sympy.simplify(f - sympy.diff(sympy.log(alpha), t)) == 0, f"f = {f}")
    require(sympy.simplify(g2 - (sympy.diff(sigma**2, t) - 2 * f * sigma**2)) == 0, f"g^2 = {g2}")
    require(sympy.simplify(g2 - alpha**2 * sympy.diff((sigma / alpha) ** 2, t)) == 0, "g^2 is not alpha^2 d(s^2)/dt")


@check(
    "eq-4",
    verdict="misprint",
    mutants={
        "variance as printed": {"variance": lambda: lambda sigma: sigma**2},
        "the published text corrected": {"reading": AS_PRINTED["eq-4"].corrected},
    },
)
def noise_variance(
    variance: Callable[[Any], Any] = lambda sigma: 1, reading: AsPrinted = AS_PRINTED["eq-4"]
) -> dict[str, Any]:
    """The minimiser of (4) is -sigma times the score only for unit noise."""
    alpha, sigma, c = sympy.symbols("alpha sigma c", positive=True)
    z, mu = sympy.symbols("z mu", real=True)
    density = sympy.exp(-((z - alpha * mu) ** 2) / (2 * (alpha**2 * c + sigma**2)))
    wanted = -sigma * sympy.diff(sympy.log(density), z)

    def minimiser(v: Any) -> Any:
        # The conditional mean of a jointly Gaussian pair (epsilon, alpha x + sigma epsilon), epsilon of variance v.
        return sigma * v / (alpha**2 * c + sigma**2 * v) * (z - alpha * mu)

    require(sympy.simplify(minimiser(variance(sigma)) - wanted) == 0, "the minimiser is not -sigma times the score")
    require(sympy.simplify(minimiser(sigma**2) - wanted) != 0, "the printed variance should fail")
    return {"seen": reading.seen()}


@check(
    "eq-5",
    verdict="misprint",
    mutants={
        "conditional score, as printed": {"law": lambda: _ConditionalScore},
        "the published text corrected": {"reading": AS_PRINTED["eq-5"].corrected},
    },
)
def score_is_the_conditional_mean(
    law: Any = GaussianMixture, reading: AsPrinted = AS_PRINTED["eq-5"]
) -> dict[str, Any]:
    """The marginal score is the posterior mean of the conditional one, and the library's is that."""
    alpha, sigma = sympy.symbols("alpha sigma", positive=True)
    z = sympy.Symbol("z", real=True)
    weights, atoms = (sympy.Rational(1, 3), sympy.Rational(2, 3)), (sympy.Integer(-1), sympy.Integer(2))
    kernels = [w * _kernel(z, x, alpha, sigma) for w, x in zip(weights, atoms, strict=True)]
    q = sum(kernels)
    mean = sum(k * x for k, x in zip(kernels, atoms, strict=True)) / q
    score = sympy.diff(q, z) / q
    require(sympy.simplify(score + (z - alpha * mean) / sigma**2) == 0, "the score is not -(z - alpha E[x|z])/sigma^2")
    conditional = -(z - alpha * atoms[0]) / sigma**2
    require(sympy.simplify(score - conditional) != 0, "the printed form, without the mean, should fail")
    schedule = schedules.flow()
    found = law([float(w) for w in weights], [[-1.0], [2.0]], [0.0, 0.0])
    for t, point in ((0.25, 0.3), (0.5, -1.2), (0.75, 2.0)):
        exact = float(score.subs({z: sympy.Rational(point), alpha: 1 - sympy.Rational(t), sigma: sympy.Rational(t)}))
        got = float(found.score(np.array([point]), t, schedule)[0])
        require(
            abs(got - exact) <= 1e-13 * (1 + abs(exact)),
            f"the library's score at z = {point}, t = {t} is {got}, not {exact}",
        )
        noise = float(found.model(schedule)(np.array([point]), t)[0])
        require(abs(noise + t * got) <= 1e-15 * (1 + abs(noise)), f"eps = {noise} is not -sigma score = {-t * got}")
    return {"seen": reading.seen()}


class _ConditionalScore(GaussianMixture):
    """A mixture that takes the conditional score of the nearest component for the marginal one, as (5) is printed."""

    def _scaled_score(self, z: Any, t: Any, schedule: Any, *, noise: bool, **_: Any) -> Any:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        nearest = min(np.ravel(self.means), key=lambda x: abs(float(z[0]) - alpha * x))
        score = -(z - alpha * nearest) / sigma**2
        return -sigma * score if noise else score
