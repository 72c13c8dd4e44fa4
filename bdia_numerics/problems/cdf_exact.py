"""The exact flow of a 1-D mixture in mpmath, to any precision: the equation of `cdf_flow`, exponents unlimited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bdia_numerics import spaces

_GUARD = 15


@dataclass(frozen=True)
class ExactMarginal:
    """A 1-D mixture of N(mean, variance) at one time; mpf, variances positive."""

    weights: Sequence[Any]
    means: Sequence[Any]
    variances: Sequence[Any]

    def density(self, z: Any) -> Any:
        """Return the density at z."""
        return sum(self._densities(z))

    def _densities(self, z: Any) -> list[Any]:
        from mpmath import mp

        parts = zip(self.weights, self.means, self.variances, strict=True)
        return [w * mp.exp(-((z - m) ** 2) / (2 * v)) / mp.sqrt(2 * mp.pi * v) for w, m, v in parts]

    def sums(self, z: Any, left: Sequence[bool]) -> tuple[Any, Any, Any, Any]:
        """Return A, B and their slopes: left components enter by their survival function, the others by their CDF."""
        from mpmath import mp

        a = b = slope_a = slope_b = mp.mpf(0)
        parts = zip(self.weights, self.means, self.variances, self._densities(z), left, strict=True)
        for w, m, v, density, is_left in parts:
            x = (z - m) / mp.sqrt(2 * v)
            if is_left:
                b, slope_b = b + w * mp.erfc(x) / 2, slope_b + density
            else:
                a, slope_a = a + w * mp.erfc(-x) / 2, slope_a + density
        return a, b, slope_a, slope_b


def transport_exact(z: Any, source: ExactMarginal, target: ExactMarginal, guess: Any, dps: int) -> Any:
    """Return z' with F_target(z') = F_source(z), rounded to `dps` digits.

    Parameters
    ----------
    z
        One finite mpf.
    guess
        A start for Newton's method, None for the middle of the bounds.

    Notes
    -----
    The image lies between the images under each component's own flow.
    """
    from mpmath import mp

    def beyond(law: ExactMarginal, *points: Any) -> int:
        """Return the digits that exponents of size x^2 lose at some points."""
        pairs = zip(law.means, law.variances, strict=True)
        return 2 * int(mp.log10(1 + max(abs(x - m) / mp.sqrt(v) for m, v in pairs for x in points)))

    parts = zip(source.means, source.variances, target.means, target.variances, strict=True)
    with spaces.MPMath(dps + _GUARD + beyond(source, z)).working():
        images = [new_m + mp.sqrt(new_v / v) * (z - m) for m, v, new_m, new_v in parts]
        low, high = min(images), max(images)
    with spaces.MPMath(dps + _GUARD + max(beyond(source, z), beyond(target, low, high))).working():
        guess = (low + high) / 2 if guess is None else min(max(guess, low), high)
        left = [z > m for m in source.means]
        a, b, _, _ = source.sums(z, left)

        def gap(x: Any) -> tuple[Any, Any]:
            new_a, new_b, slope_a, slope_b = target.sums(x, left)
            up, down = new_a + b, new_b + a
            return mp.log(up / down), slope_a / up + slope_b / down

        root = increasing_root(gap, guess, mp.sqrt(max(target.variances)) / 1024, mp.mpf(10) ** (-dps - _GUARD // 2))
    with spaces.MPMath(dps).working():
        return +root


def increasing_root(gap: Any, x: Any, reach: Any, tolerance: Any) -> Any:
    """Return the root of an increasing function, gap(x) = (value, slope), in mpmath.

    Newton's method inside a bracket that is first grown around x, beginning with `reach` on each side.
    """
    low, high = x - reach, x + reach
    while gap(low)[0] > 0:
        reach *= 2
        low -= reach
    while gap(high)[0] < 0:
        reach *= 2
        high += reach
    last = high - low
    while True:
        value, slope = gap(x)
        if value < 0:
            low = x
        else:
            high = x
        moved = x - value / slope if slope > 0 else low
        if slope > 0 and abs(moved - x) <= tolerance * max(abs(x), tolerance):
            return moved
        if not low < moved < high or 2 * abs(moved - x) > last:
            moved = (low + high) / 2
        last, x = abs(moved - x), moved
