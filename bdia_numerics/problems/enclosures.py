"""Scores of Gaussian mixtures on balls, tight also on wide balls, and the exact 1-D flow with a proved radius.

A formula evaluated on balls forgets that its parts depend on one state, and its radius grows by the sum of what ought to
cancel. So a score over a box Z with centre c is taken in mean-value form, score(c) + J(Z) (Z - c), with the Jacobian

    J = - sum_k r_k P_k + sum_{j<k} r_j r_k (p_j - p_k)(p_j - p_k)^T,    P_k = V_k^-1, p_k = P_k (z - alpha m_k),

in which the responsibilities r_k are bounded from the ranges of their log-ratios: quadratics, whose Taylor form at c is
exact, and in each of which r_k is monotone.

In the flow, F(y) = F_T(z) is solved as A'(y) + B = B'(y) + A, where the components to the left of z enter by their survival
function (B) and the others by their distribution function (A): all terms are positive, so that tails keep their digits. The
left side less the right one rises with y. Where it is certainly negative at y - r and certainly positive at y + r, the
root lies in between, whatever led to y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import methodcaller
from types import SimpleNamespace
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import ExactMarginal, attempt
from bdia_numerics.problems.checks import Parts, Times, ldl_solve
from bdia_numerics.problems.scores import covariance
from bdia_numerics.spaces import Array, MeanValue, carries_slopes

Ball = Any
"""A flint.arb."""
Vector = list[Ball]
_EXP, _SQRT, _ERFC = map(methodcaller, ("exp", "sqrt", "erfc"))
Matrix = list[Vector]


def dot(a: Sequence[Ball], b: Sequence[Ball]) -> Ball:
    """Return the scalar product."""
    first, *rest = (x * y for x, y in zip(a, b, strict=True))
    return sum(rest, start=first)


def product(matrix: Matrix, x: Vector) -> Vector:
    """Return the product of a matrix and a vector."""
    return [dot(row, x) for row in matrix]


def minus(a: Vector, b: Vector) -> Vector:
    """Return the difference of two vectors."""
    return [x - y for x, y in zip(a, b, strict=True)]


def square(x: Ball) -> Ball:
    """Return x^2, not negative but for rounding; Arb's own power of a ball around 0 is NaN."""
    low, high = x.abs_lower(), x.abs_upper()
    return (low * low).union(high * high)


@dataclass(frozen=True)
class BallMixture:
    """A mixture at one time: w_k and log w_k - log det(V_k)/2, shape (K,); alpha m_k, (K, D); V_k^-1, (K, D, D)."""

    weights: Vector
    log_weights: Vector
    means: list[Vector]
    inverses: list[Matrix]

    def over(self, z: Vector) -> tuple[Vector, Matrix]:
        """Return enclosures of the score and of its Jacobian over a box z of D balls."""
        centre = [x.mid() for x in z]
        offsets = minus(z, centre)
        pulls = self._pulls(centre)
        exponents = self._exponents(centre, pulls)
        top = max(range(len(pulls)), key=lambda k: float(exponents[k].mid()))
        densities = [(e - exponents[top]).exp() for e in exponents]
        total = sum(densities)
        r = self._responsibilities(exponents, pulls, offsets)
        # All but the largest component enter by their difference from it, since the r_k sum to 1.
        gaps = {k: self._gap(pulls, offsets, k, top) for k in range(len(pulls)) if k != top}
        jacobian = self._jacobian(r, pulls, offsets, gaps, top)
        widest = [p + x for p, x in zip(pulls[top], product(self.inverses[top], offsets), strict=True)]
        result = []
        for d, row in enumerate(jacobian):
            mean_value = dot(row, offsets) - dot(densities, [p[d] for p in pulls]) / total
            natural = -widest[d] - sum((r[k] * gap[d] for k, gap in gaps.items()), start=0 * total)
            result.append(mean_value.intersection(natural))
        return result, jacobian

    def log_density(self, z: Vector) -> Ball:
        """Return the logarithm of the density at z, times (2 pi)^(D/2)."""
        exponents = self._exponents(z, self._pulls(z))
        top = max(exponents, key=lambda e: float(e.mid()))
        return top + sum((e - top).exp() for e in exponents).log()

    def marginal(self) -> ExactMarginal:
        """Return the same in one dimension, with the functions of balls."""
        functions = SimpleNamespace(exp=_EXP, sqrt=_SQRT, erfc=_ERFC, pi=type(self.weights[0]).pi())
        means, variances = [m[0] for m in self.means], [1 / p[0][0] for p in self.inverses]
        return ExactMarginal(self.weights, means, variances, functions)

    def _pulls(self, z: Vector) -> list[Vector]:
        return [product(p, minus(z, m)) for p, m in zip(self.inverses, self.means, strict=True)]

    def _exponents(self, z: Vector, pulls: list[Vector]) -> Vector:
        """Return the logarithms of the weighted densities, without their common constant."""
        return [
            log_weight - dot(minus(z, mean), pull) / 2
            for log_weight, mean, pull in zip(self.log_weights, self.means, pulls, strict=True)
        ]

    def _gap(self, pulls: list[Vector], offsets: Vector, j: int, k: int) -> Vector:
        """Return p_j - p_k over the box."""
        slopes = [minus(a, b) for a, b in zip(self.inverses[j], self.inverses[k], strict=True)]
        return [x + y for x, y in zip(minus(pulls[j], pulls[k]), product(slopes, offsets), strict=True)]

    def _responsibilities(self, exponents: Vector, pulls: list[Vector], offsets: Vector) -> Vector:
        """Return r_k = 1/(1 + sum_j exp(E_j - E_k)) over the box, from the ends of the log-ratios."""
        size = range(len(exponents))
        low, high = [1] * len(exponents), [1] * len(exponents)
        for j, k in combinations(size, 2):
            bend = [minus(a, b) for a, b in zip(self.inverses[k], self.inverses[j], strict=True)]
            ratio = exponents[j] - exponents[k] + dot(minus(pulls[k], pulls[j]), offsets)
            ratio = ratio + dot(offsets, product(bend, offsets)) / 2
            least, most = ratio.lower(), ratio.upper()
            low[k], high[k] = low[k] + least.exp(), high[k] + most.exp()
            low[j], high[j] = low[j] + (-most).exp(), high[j] + (-least).exp()
        return [(1 / (a + 0 * e)).union(1 / (b + 0 * e)) for a, b, e in zip(low, high, exponents, strict=True)]

    def _jacobian(self, r: Vector, pulls: list[Vector], offsets: Vector, gaps: dict[int, Vector], top: int) -> Matrix:
        size = range(len(offsets))
        inverses = self.inverses
        jacobian = [
            [-inverses[top][a][b] - sum(r[k] * (inverses[k][a][b] - inverses[top][a][b]) for k in gaps) for b in size]
            for a in size
        ]
        for j, k in combinations(range(len(r)), 2):
            gap = gaps[j] if k == top else gaps[k] if j == top else self._gap(pulls, offsets, j, k)
            # r_j + r_k <= 1, so their product is at most 1/4.
            weight = (r[j] * r[k]).intersection(type(r[j])(0.125, 0.125))  # at most 1/4
            for a in size:
                for b in size:
                    spread = square(gap[a]) if a == b else gap[a] * gap[b]
                    jacobian[a][b] = jacobian[a][b] + weight * spread
        return jacobian


def ball_mixture(alpha: Any, sigma: Any, parts: Parts, space: spaces.Balls) -> BallMixture:
    """Return the mixture (weights, means, covariances) at the noise level (alpha, sigma), without empty components."""
    kept = [k for k, w in enumerate(parts[0]) if not spaces.vanishes(space, w)]
    weights, means, covs = (part[kept] for part in parts)
    size, plain = means.shape[1], space.coefficient
    logs, inverses = [], []
    for weight, cov in zip(weights, covs, strict=True):
        factors = covariance(cov, alpha, sigma, size)
        logs.append(plain(space.log(weight) - sum(space.log(d) for d in factors[1]) / 2))
        columns = [ldl_solve(factors, unit.astype(object)) for unit in np.eye(size, dtype=int)]
        inverses.append([[plain(column[row]) for column in columns] for row in range(size)])
    return BallMixture(
        [plain(w) for w in weights], logs, [[plain(alpha * m) for m in mean] for mean in means], inverses
    )


def enclosed_score(z: Array, alpha: Any, sigma: Any, parts: Parts, space: spaces.Balls) -> Array:
    """Return enclosures of the score at states of shape (n, D): balls, or `MeanValue` with their derivatives."""
    law = ball_mixture(alpha, sigma, parts, space)
    result = np.empty_like(z)
    for row, state in enumerate(z):
        if any(map(carries_slopes, state)):
            result[row] = _carried(state, law)
        else:
            result[row] = law.over([space.coefficient(x) for x in state])[0]
    return result


def _carried(state: Sequence[MeanValue], law: BallMixture) -> list[MeanValue]:
    """Return the score of values with derivatives, by the chain rule."""
    reach = state[0].reach
    score, _ = law.over([x.centre for x in state])
    _, jacobian = law.over([x.value for x in state])
    columns = [product(jacobian, [x.slopes[k] for x in state]) for k in range(len(reach))]
    return [MeanValue(score[d], tuple(c[d] for c in columns), reach) for d in range(len(state))]


_NEWTON = 60
"""Newton's method is stopped after so many steps; the proof then takes a larger radius."""
_DOUBLINGS = 4096


def transported(z: Array, begin: Times, end: Times, parts: Parts, space: spaces.Balls) -> Array:
    """Return enclosures of the 1-D flow of states of shape (n, 1).

    Parameters
    ----------
    z
        Balls, or `MeanValue` with their derivatives.
    begin, end
        alpha and sigma at the two times.
    parts
        Weights (K,), means (K, 1), variances, as balls.
    """
    wide, result = space.guarded(), np.empty_like(z)
    with wide.working():
        source, target = (ball_mixture(*time, parts, wide) for time in (begin, end))
        result[:, 0] = [_moved(x, source, target, space) for x in z[:, 0]]
    return result


def slopes(z: Array, moved: Array, begin: Times, end: Times, parts: Parts, space: spaces.Balls) -> Array:
    """Return enclosures of the derivative of the 1-D flow at balls with their images, shape (n, 1)."""
    wide, result = space.guarded(), np.empty_like(z)
    with wide.working():
        source, target = (ball_mixture(*time, parts, wide) for time in (begin, end))
        for row, (x, y) in enumerate(zip(z[:, 0], moved[:, 0], strict=True)):
            centre = space.coefficient(x).mid()
            there = _point_moved(centre, source, target, space)
            result[row, 0] = _slope(space.coefficient(x), space.coefficient(y), centre, there, source, target)
    return result


def _moved(x: Any, source: BallMixture, target: BallMixture, space: spaces.Balls) -> Any:
    if not carries_slopes(x):
        return space.number(_ball_moved(space.coefficient(x), source, target, space))
    centre = _ball_moved(x.centre, source, target, space)
    over = x.value
    slope = _slope(over, _ball_moved(over, source, target, space), x.centre, centre, source, target)
    return MeanValue(centre, tuple(slope * s for s in x.slopes), x.reach)


def _ball_moved(z: Ball, source: BallMixture, target: BallMixture, space: spaces.Balls) -> Ball:
    """Return the image of a ball: that of its ends, since the flow rises."""
    if z.is_exact():
        return _point_moved(z, source, target, space)
    low, high = (_point_moved(end, source, target, space) for end in (z.lower(), z.upper()))
    return low.union(high)


def _point_moved(z: Ball, source: BallMixture, target: BallMixture, space: spaces.Balls) -> Ball:
    """Return a ball that holds the image of an exact point."""
    old, new = source.marginal(), target.marginal()
    sides, y = old.sides(z, new), _guess(z, old, new)
    unit = type(z)(2) ** (-space.prec)
    step = abs(y) * unit
    for _ in range(_NEWTON):
        up, down, slope = sides(y)
        step = ((up / down).log() / slope).mid()
        if not step.is_finite():
            break
        y = (y - step).mid()
        if abs(step) < unit**2 + abs(y) * unit:
            break
    radius = abs(y) * unit + unit**2
    for _ in range(_DOUBLINGS):
        low, high = (y - radius).lower(), (y + radius).upper()
        (up, down, _), (up_high, down_high, _) = sides(low), sides(high)
        if up < down and up_high > down_high:
            return low.union(high)
        radius = 2 * radius
    raise ValueError(f"no radius was proved for the flow from z={z}: use more bits than prec={space.prec}")


def _guess(z: Ball, source: ExactMarginal, target: ExactMarginal) -> Ball:
    """Return the flow in float64, where that fails the middle of the images under each component's own flow."""
    found = attempt(np.array([float(z)]), source.floats(), target.floats())[0]
    if np.isfinite(found):
        return type(z)(float(found))
    images = [image.mid() for image in source.images(z, target)]
    return ((min(images) + max(images)) / 2).mid()


def _slope(z: Ball, y: Ball, centre: Ball, moved: Ball, source: BallMixture, target: BallMixture) -> Ball:
    """Return the derivative p(z)/p'(y) of the flow over a ball z with image y, in mean-value form of its logarithm."""
    (before,), _ = source.over([z])
    (after,), _ = target.over([y])
    offset = z - centre
    old, new = source.log_density([centre]), target.log_density([moved])
    rough = (old + before * offset - new - after * (y - moved)).exp()
    return rough.intersection((old - new + (before - after * rough) * offset).exp())
