"""The flow of any mixture with a proved radius: Taylor steps on dy/ds = eps, y = z/alpha, s = sigma/alpha.

A step from s to s + h has three parts. A box B with y + [0, h] eps(B, s + [0, h]) inside B holds the solution (Picard).
The Taylor polynomial of order p - 1 at the midpoint misses it by at most the p-th coefficient over B, times h^p
(Lagrange). What the midpoint misses of the ball grows at most by exp(|h| mu), mu the largest eigenvalue of the
Jacobian of eps, with the sign of h, over B (Dahlquist); no box is rotated, so nothing is lost by wrapping.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems.checks import Parts, marginal, states
from bdia_numerics.problems.enclosures import Ball, Vector, ball_mixture, square
from bdia_numerics.problems.mixtures import Law
from bdia_numerics.problems.problem import Certificate, CertifiedFlow
from bdia_numerics.problems.scores import generic_score
from bdia_numerics.schedules.base import SINGLE, inside
from bdia_numerics.spaces import carries_slopes, ordered
from bdia_numerics.spaces.later import flint
from bdia_numerics.spaces.precision import Shared
from bdia_numerics.texts import shown

_STEP = 1 / 16
"""First trial of a step, in units of the smallest deviation of the distribution with its noise."""
_GROW = 2.0
_SERIES: Any = SimpleNamespace(exp=lambda x: x.exp(), sqrt=lambda x: x.sqrt())
"""What a score asks of a number system, for Taylor series."""


_CAP = Shared(lambda: int(flint.ctx.cap), lambda terms: setattr(flint.ctx, "cap", terms))
"""Terms after which flint cuts power series; a series made with fewer is cut after these, whatever other threads ask for."""


@ordered
def certified_flow(
    problem: Law, schedule: Any, z: Any, t_from: Any, t_to: Any, *, prec: int = 128, max_steps: int = 2000
) -> CertifiedFlow:
    """Return the flow of a mixture in any dimension, with a proved radius.

    Parameters
    ----------
    problem
        A Gaussian or a mixture; few dimensions and components, since the work is done coordinate by coordinate.
    schedule
        Gives alpha and sigma.
    z
        States, shape (*batch, D): balls, or floats and Fractions with their exact value.
    t_from, t_to
        Times, in either order, with alpha > 0.
    prec
        Bits of the midpoints; the order of the Taylor steps is a quarter of it.
    max_steps
        When so many steps do not reach the end, the attempt is given up.

    Returns
    -------
    CertifiedFlow
        Balls, shape of z, and an "enclosure" certificate with the largest radius and the number of steps.

    Raises
    ------
    TypeError
        For what is not a mixture, and for states with derivatives.
    ValueError
        For times outside the schedule, alpha = 0, and where `max_steps` are used up, as for atoms near sigma = 0.
    ArithmeticError
        Where no step keeps the radius finite: take more bits or a smaller ball.
    """
    if not isinstance(problem, Law):
        raise TypeError(f"problem={shown(problem)} is not a mixture: pass a Gaussian or a GaussianMixture")
    space = spaces.Balls(prec)
    given = np.asarray(spaces.plain("z", z), dtype=None if isinstance(z, np.ndarray) else object)
    array = np.asarray(np.frompyfunc(space.number, 1, 1)(given.astype(object)), dtype=object)
    states(array, problem.dimension)
    spaces.require_finite("z", array, space)
    if any(map(carries_slopes, array.flat)):
        raise TypeError("z carries derivatives, which the Taylor steps do not move: pass balls")
    with space.working():
        levels = [marginal(schedule, space.number(inside(schedule, "t", t, SINGLE)), space) for t in (t_from, t_to)]
        for (alpha, _), t in zip(levels, (t_from, t_to), strict=True):
            if not alpha > 0:
                raise ValueError(f"alpha = 0 at t={t}: sigma/alpha is infinite there, take a time with alpha > 0")
        start, end = (space.coefficient(sigma / alpha) for alpha, sigma in levels)
        field = _Field(problem._in(space), space, max(8, prec // 4))
        rows, steps = [], 0
        for row in array.reshape(-1, problem.dimension):
            y = [space.coefficient(x / levels[0][0]) for x in row]
            moved, count = _march(field, y, start, end, max_steps)
            rows.append([space.number(levels[1][0] * x) for x in moved])
            steps = max(steps, count)
    result = np.empty((len(rows), problem.dimension), dtype=object)
    result[...] = rows
    radius = max(float(x.rad()) for x in result.flat)
    detail = f"{steps} Taylor steps of order {field.order} on {space.name}"
    return CertifiedFlow(
        result.reshape(array.shape), Certificate("enclosure", detail, float(np.nextafter(radius, np.inf)))
    )


class _Taylor:
    """A truncated power series that NumPy takes for a scalar; flint's own has a length, and would be spread out."""

    __array_ufunc__ = None

    def __init__(self, series: Any) -> None:
        self.series = series

    def exp(self) -> _Taylor:
        return _Taylor(self.series.exp())

    def sqrt(self) -> _Taylor:
        return _Taylor(self.series.sqrt())

    def __neg__(self) -> _Taylor:
        return _Taylor(-self.series)


def _lifted(op: Callable[[Any, Any], Any], swapped: bool) -> Any:
    def method(self: _Taylor, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return np.frompyfunc(lambda x: method(self, x), 1, 1)(other)
        value = getattr(other, "series", other)
        return _Taylor(op(value, self.series) if swapped else op(self.series, value))

    return method


for _name in ("add", "sub", "mul", "truediv"):
    setattr(_Taylor, f"__{_name}__", _lifted(getattr(operator, _name), False))
    setattr(_Taylor, f"__r{_name}__", _lifted(getattr(operator, _name), True))


class _Field:
    """eps of a distribution in (y, s): its Taylor coefficients along the flow, its values and its growth over boxes."""

    def __init__(self, parts: Parts, space: spaces.Balls, order: int) -> None:
        self.parts, self.space, self.order = parts, space, order
        # Plain arbs: what a Ball remembers and decides is not asked for here, and costs time.
        self.weights, self.means, self.covs = map(np.frompyfunc(space.coefficient, 1, 1), parts)
        covs = parts[2]
        diagonal = covs if covs.ndim < 3 else np.array([c.diagonal() for c in covs])
        self.smallest = min(float(c.mid()) for c in diagonal.flat)

    def coefficients(self, y: Vector, s: Ball, order: int) -> list[Vector]:
        """Return the Taylor coefficients 0..order of the solution through y at s, enclosed, by coordinate."""
        rows = [[x] for x in y]
        for k in range(order):
            with _CAP.at_least(k + 1):
                state = np.array([[_Taylor(flint.arb_series(row, k + 1)) for row in rows]], dtype=object)
                time = _Taylor(flint.arb_series([s, 1], k + 1))
                score = generic_score(state, 1, time, self.weights, self.means, self.covs, _SERIES)
                for row, slope in zip(rows, score[0], strict=True):
                    row.append((-time * slope).series[k] / (k + 1))
        return rows

    def over(self, y: Vector, s: Ball) -> tuple[Vector, list[Vector]]:
        """Return eps and its Jacobian over a box and an interval of s."""
        score, jacobian = ball_mixture(1, s, self.parts, self.space).over(y)
        return [-s * x for x in score], [[-s * x for x in row] for row in jacobian]


def _march(field: _Field, y: Vector, start: Ball, end: Ball, max_steps: int) -> tuple[Vector, int]:
    """Step from start to end; return the boxes at the end and the number of steps."""
    centre = [x.mid() for x in y]
    radius = _length([x - c for x, c in zip(y, centre, strict=True)])
    s, steps = start, 0
    trial = _STEP
    while True:
        if steps == max_steps:
            raise ValueError(
                f"max_steps={max_steps} are used up at sigma/alpha = {s.str(6)}: allow more, or end earlier"
            )
        trial = min(_STEP * 4, trial * _GROW)
        left = end - s
        while True:
            unit = trial * math.sqrt(float(s.mid()) ** 2 + field.smallest)
            last = float(abs(left).upper()) <= unit
            h = left if last else type(s)(unit if left > 0 else -unit)
            found = _step(field, centre, radius, s, h)
            if found is not None:
                break
            trial /= 2
            if trial < 1e-9:
                raise ArithmeticError(
                    f"no step from sigma/alpha = {s.str(6)} keeps the radius: use more bits or a smaller ball"
                )
        centre, radius = found
        s, steps = (end if last else s + h), steps + 1
        if last:
            return [c + type(s)(0, radius.upper()) for c in centre], steps


def _length(x: Vector) -> Ball:
    """Return the Euclidean length of the largest vector in a box."""
    return sum((square(a).upper() for a in x[1:]), start=square(x[0]).upper()).sqrt()


def _step(field: _Field, centre: Vector, radius: Ball, s: Ball, h: Ball) -> tuple[Vector, Ball] | None:
    """Return midpoint and Euclidean radius after a step, None if it is too long."""
    kind = type(s)
    box = [c + kind(0, radius.upper()) for c in centre]
    during = kind(0).union(h)
    times = s + during
    tube = _tube(field, box, times, during)
    if tube is None:
        return None
    try:
        rest = [row[-1] * h**field.order for row in field.coefficients(tube, times, field.order)]
    except ValueError:  # flint's, where the density over the tube may be 0
        return None
    unit = kind(2) ** (-field.space.prec // 2) * (1 + max(abs(float(c)) for c in centre))
    if not all(r.is_finite() and r.abs_upper() < unit for r in rest):
        return None
    moved = []
    for row, r in zip(field.coefficients(centre, s, field.order - 1), rest, strict=True):
        value = r
        power = kind(1)
        for c in row:
            value, power = value + c * power, power * h
        moved.append(value)
    _, jacobian = field.over(tube, times)
    sign = 1 if h > 0 else -1
    growth = max(
        (sign * row[a] + sum((abs(x) for b, x in enumerate(row) if b != a), start=0 * s)).upper()
        for a, row in enumerate(jacobian)
    )
    middle = [m.mid() for m in moved]
    rounding = _length([m - c for m, c in zip(moved, middle, strict=True)])
    return middle, (radius * (abs(h) * growth).upper().exp() + rounding).upper()


def _tube(field: _Field, box: Vector, times: Ball, during: Ball) -> Vector | None:
    """Return a box that the solution from `box` does not leave during the step, None if none was found."""
    kind = type(times)
    slope, _ = field.over(box, times)
    tube = [y + during * f for y, f in zip(box, slope, strict=True)]
    for _ in range(6):
        wide = [t.mid() + kind(0, (t.rad() * 1.25).upper()) for t in tube]
        slope, _ = field.over(wide, times)
        image = [y + during * f for y, f in zip(box, slope, strict=True)]
        if not all(i.is_finite() for i in image):
            return None
        if all(w.contains(i) for w, i in zip(wide, image, strict=True)):
            return wide
        tube = [i.union(t) for i, t in zip(image, tube, strict=True)]
    return None
