"""The exact 1-D flow with a proved radius: the distribution function is conserved, and a change of sign proves the root.

F(y) = F_T(z) is solved as A'(y) + B = B'(y) + A, where the components to the left of z enter by their survival function
(B) and the others by their distribution function (A): all terms are positive, so that tails keep their digits. The
left side less the right one rises with y. Where it is certainly negative at y - r and certainly positive at y + r, the
root lies in between, whatever led to y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.cdf_flow import Marginal, attempt
from bdia_numerics.problems.enclosed_scores import Ball, BallMixture, Parts, ball_mixture
from bdia_numerics.spaces import Array, MeanValue
from bdia_numerics.spaces.mean_value import carries_slopes

Times = tuple[Any, Any]

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
    left = [bool(z > mean[0].mid()) for mean in source.means]
    a, b, *_ = _sums(z, source, left)

    def sides(y: Ball) -> tuple[Ball, Ball, Ball]:
        new_a, new_b, slope_a, slope_b = _sums(y, target, left)
        up, down = new_a + b, new_b + a
        return up, down, slope_a / up + slope_b / down

    y = _guess(z, source, target)
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


def _guess(z: Ball, source: BallMixture, target: BallMixture) -> Ball:
    """Return the flow in float64, where that fails the middle of the images under each component's own flow."""
    found = attempt(np.array([float(z)]), *map(_float_marginal, (source, target)))[0]
    if np.isfinite(found):
        return type(z)(float(found))
    parts = zip(source.means, source.inverses, target.means, target.inverses, strict=True)
    images = [(new[0] + (z - m[0]) * (p[0][0] / q[0][0]).sqrt()).mid() for m, p, new, q in parts]
    return ((min(images) + max(images)) / 2).mid()


def _float_marginal(law: BallMixture) -> Marginal:
    weights, means = np.array(list(map(float, law.weights))), np.array([float(m[0]) for m in law.means])
    deviations = np.array([float(1 / p[0][0].sqrt()) for p in law.inverses])
    return Marginal(weights[:, None], means[:, None], deviations[:, None])


def _sums(y: Ball, law: BallMixture, left: Sequence[bool]) -> tuple[Ball, Ball, Ball, Ball]:
    """Return A and B, and their slopes without sign."""
    zero = 0 * law.weights[0]
    a, b, slope_a, slope_b = zero, zero, zero, zero
    for w, mean, inverse, is_left in zip(law.weights, law.means, law.inverses, left, strict=True):
        root = (inverse[0][0] / 2).sqrt()
        x = (y - mean[0]) * root
        density = w * (-x * x).exp() * root / type(y).pi().sqrt()
        if is_left:
            b, slope_b = b + w * x.erfc() / 2, slope_b + density
        else:
            a, slope_a = a + w * (-x).erfc() / 2, slope_a + density
    return a, b, slope_a, slope_b


def _slope(z: Ball, y: Ball, centre: Ball, moved: Ball, source: BallMixture, target: BallMixture) -> Ball:
    """Return the derivative p(z)/p'(y) of the flow over a ball z with image y, in mean-value form of its logarithm."""
    (before,), _ = source.over([z])
    (after,), _ = target.over([y])
    offset = z - centre
    old, new = source.log_density([centre]), target.log_density([moved])
    rough = (old + before * offset - new - after * (y - moved)).exp()
    return rough.intersection((old - new + (before - after * rough) * offset).exp())
