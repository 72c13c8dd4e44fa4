"""Orders from errors: straight lines in logarithms, where the data are in the asymptotic range, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bdia_numerics.analysis.perturbation.linearised import Array

LEAST = 5
"""Levels in a window: three parameters and two to judge them by."""
LEAST_RANDOM = 3
"""Levels on random grids, where the seeds give the deviations."""
HELD_OUT = 2
"""Levels of the finest octave."""
PERTURBATION = 0.5
"""Largest first correction, c/n, at the coarsest level of a window: beyond it the leading term does not lead."""
DRIFT, SETTLED = 0.75, 0.004


class Line(NamedTuple):
    """log error = constant - order log n + correction / n, by least squares."""

    order: float
    correction: float
    deviation: float


@dataclass(frozen=True)
class Fit:
    """An order with its interval, and the levels that it rests on.

    Attributes
    ----------
    order, half_width : float
        The interval is order plus or minus half_width.
    first : int
        Index of the coarsest level used; all finer ones are used too.
    asymptotic : bool
        Whether a window was found in which the leading term leads.
    reason : str
        Why the levels before it are left out, or why there is no such window.
    """

    order: float
    half_width: float
    first: int
    asymptotic: bool
    reason: str


def slopes(steps: Sequence[int], errors: Sequence[float]) -> Array:
    """Return the local orders between neighbouring levels, shape (K-1,)."""
    found: Array = -np.diff(np.log(errors)) / np.diff(np.log(steps))
    return found


def fit_order(steps: Sequence[int], errors: Sequence[float], confidence: float = 0.95) -> Fit:
    """Return the order of errors that follow C n^-p (1 + c/n + ...) on one family of grids.

    Every window of at least five levels that ends at the finest is fitted by log C - p log n + c/n. A window is asymptotic if
    |c/n| is below a half at its coarsest level, and if its local slopes settle: they must not go on drifting to one side at an undiminished
    rate. Of these the one with the narrowest interval is taken. Half of the interval is the Student quantile times the standard
    error, plus what changes with the finest five levels alone or with a second
    correction, plus |c/n| at the finest level (all that is extrapolated beyond the slopes seen), plus what the finest octave has
    changed (Richardson's consistency: the order is also found without it).

    Parameters
    ----------
    steps, errors
        At least five levels, coarsest first; positive errors.
    confidence
        Of the Student quantile.
    """
    found = _best(steps, errors, confidence)
    if not found.asymptotic:
        return found
    # The same without the finest octave: an order that the finest levels have changed may change again.
    before = _best(steps[:-HELD_OUT], errors[:-HELD_OUT], confidence) if len(steps) >= LEAST + HELD_OUT else None
    known = before.order if before is not None and before.asymptotic else float(slopes(steps, errors)[-1])
    return replace(found, half_width=found.half_width + abs(found.order - known))


def _best(steps: Sequence[int], errors: Sequence[float], confidence: float) -> Fit:
    best: Fit | None = None
    reasons = []
    for first in range(len(steps) - LEAST + 1):
        n, e = np.asarray(steps[first:], dtype=float), np.asarray(errors[first:], dtype=float)
        line = _line(n, e)
        if reason := _not_asymptotic(n, e, line):
            reasons.append(reason)
            continue
        half = _half_width(n, e, line, confidence)
        if best is None or half < best.half_width:
            why = reasons[-1] if reasons else "the interval is wider with them"
            best = Fit(line.order, half, first, True, f"coarser ones left out: {why}" if first else "all levels")
    if best is not None:
        return best
    n, e = np.asarray(steps[-LEAST:], dtype=float), np.asarray(errors[-LEAST:], dtype=float)
    local = slopes(steps[-LEAST:], errors[-LEAST:])
    spread = float(local.max() - local.min()) + abs(_line(n, e).order - float(local[-1]))
    return Fit(float(local[-1]), spread, len(steps) - LEAST, False, f"no asymptotic range: {reasons[-1]}")


def fit_random(steps: Sequence[int], errors: Array, confidence: float = 0.95) -> Fit:
    """Return the order of the root mean square over random grids.

    log C - p log n, with a correction c/n where it is significant: where it moves the order by more than two of its standard errors.
    These are the delete-one jackknife's over the seeds. Coarse levels are left out until |c/n| is below a half.

    Parameters
    ----------
    steps
        At least three levels, coarsest first.
    errors
        Root mean square on each grid, shape (seeds, levels).
    confidence
        Of the Student quantile; half of the interval is it times the standard error, plus what a correction would change, or, where
        there is one, |c/n| at the finest level.
    """
    from scipy.stats import t

    quantile = float(t.ppf((1 + confidence) / 2, len(errors) - 1))
    for first in range(len(steps) - 2):
        n, e = np.asarray(steps[first:], dtype=float), errors[:, first:]
        (order, _), deviation = _jackknife(n, e, 0)
        (corrected, correction), other = _jackknife(n, e, 1)
        systematic = abs(corrected - order)
        if len(n) > LEAST_RANDOM and systematic > 2 * other:
            if abs(correction) / n[0] > PERTURBATION:
                continue
            order, deviation, systematic = corrected, other, abs(correction) / n[-1]
        why = "all levels" if first == 0 else "coarser ones left out: the first correction is not small there"
        return Fit(float(order), quantile * deviation + float(systematic), first, True, why)
    raise AssertionError("three levels are fitted without a correction")


def _jackknife(n: Array, errors: Array, terms: int) -> tuple[Array, float]:
    """Return order and first correction of the root mean square over the first axis, and the order's standard error."""
    squares, count = errors**2, len(errors)
    total = squares.sum(axis=0)
    solve = np.linalg.pinv(_design(n, terms))

    def fitted(mean_square: Array) -> Array:
        found: Array = np.log(mean_square) @ solve.T / 2
        return found

    left_out = fitted((total - squares) / (count - 1))[:, 1]
    deviation = math.sqrt((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)))
    whole = fitted(total / count)
    return np.array([whole[1], whole[2] * n[0] if terms else 0.0]), deviation


def _design(n: Array, terms: int) -> Array:
    return np.stack([np.ones_like(n), -np.log(n), *((n[0] / n) ** k for k in range(1, terms + 1))], axis=1)


def _line(n: Array, e: Array, terms: int = 1) -> Line:
    """Fit log e by constant - order log n + sum over k = 1..terms of correction_k / n^k."""
    design = _design(n, terms)
    solution, *_ = np.linalg.lstsq(design, np.log(e), rcond=None)
    residual = np.log(e) - design @ solution
    variance = float(residual @ residual) / (len(n) - design.shape[1])
    covariance = np.linalg.inv(design.T @ design)
    return Line(float(solution[1]), float(solution[2] * n[0]), math.sqrt(variance * covariance[1, 1]))


def _half_width(n: Array, e: Array, line: Line, confidence: float) -> float:
    from scipy.stats import t

    finest = slice(1, None) if len(n) == LEAST else slice(-LEAST, None)
    shift = max(abs(_line(n[finest], e[finest]).order - line.order), abs(_line(n, e, 2).order - line.order))
    unseen = abs(line.correction) / n[-1]
    return float(float(t.ppf((1 + confidence) / 2, len(n) - 3)) * line.deviation + shift + unseen)


def _not_asymptotic(n: Array, e: Array, line: Line) -> str:
    if abs(line.correction) / n[0] > PERTURBATION:
        return f"the first correction is {abs(line.correction) / n[0]:.1f} of the leading term at n={n[0]:g}"
    local = -np.diff(np.log(e)) / np.diff(np.log(n))
    steps = np.diff(local)
    one_sided = bool(np.all(steps > 0) or np.all(steps < 0))
    if one_sided and abs(steps[-1]) > max(DRIFT * abs(steps[0]), SETTLED):
        return f"the local slopes drift on, from {local[0]:.2f} to {local[-1]:.2f}"
    return ""
