"""The leading coefficient of a solver's global error in one dimension: a quadrature along the exact flow, no ODE solve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.analysis.expansion.one_step import EPSILONS, Window, order_between
from bdia_numerics.problems.checks import exact
from bdia_numerics.program import Solver
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown

Array = np.ndarray[Any, Any]
GridMap = Callable[[Any], Any]

VARIABLES = ("t", "sigma_bar", "log_snr", "half_log_snr")
_DIGITS = 50


@dataclass(frozen=True)
class LeadingError:
    """exact - numerical of a run over N slots, times N^order, as N grows: coefficient + (-1)^N oscillating.

    Attributes
    ----------
    order
        Of the global error, start included.
    coefficient, oscillating
        In units of z at the data end. `oscillating` belongs to a root -1 of the solver (BDIA with gamma = 1, leapfrog).
    start, displacement
        The parts of `coefficient` that come from the first states, and from registers that stand off the exact solution
        by as much as the error, without growth. The rest is the integral.
    error
        Estimated error of the integral in `coefficient`.
    u, density
        Nodes in (0, 1), fraction i/N of the grid, 0 the data end, and what a unit of u there adds to `coefficient`.
    """

    order: int
    coefficient: float
    oscillating: float
    start: float
    displacement: float
    error: float
    u: Array
    density: Array

    def at(self, n: int) -> float:
        """Return the leading term of the error of a run over n slots."""
        return float((self.coefficient + (-1) ** n * self.oscillating) / n**self.order)


@ordered
def leading_error(
    solver: Solver,
    problem: Any,
    schedule: Any,
    z: Any,
    *,
    t_max: Any,
    t_min: Any,
    variable: str | GridMap = "t",
    rtol: float = 1e-4,
) -> LeadingError:
    """Return the leading term of a solver's global error on a smooth grid, for one state in one dimension.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`, zero-stable, with a simple root 1.
    problem
        A distribution with D = 1 and an exact flow.
    schedule
        Gives alpha, sigma and time in mpmath.
    z
        The state at t_max, a number or shape (1,).
    t_max, t_min
        The noise end and the data end.
    variable
        The variable in which the grid is uniform, "t", "sigma_bar", "log_snr" or "half_log_snr", or a smooth function that
        gives t at u = i/N, in mpmath.
    rtol
        Relative tolerance of the quadratures.

    Returns
    -------
    LeadingError

    Raises
    ------
    ValueError
        For more dimensions or states than one, no exact flow, and solvers that are not zero-stable, that have a multiple root
        1 or a root of modulus 1 other than 1 and -1.
    TypeError
        For times or states that are not numbers.

    Notes
    -----
    A step applied to the exact solution misses it by L = exact - numerical, and its derivative is M, both taken from the
    solver's own program, in mpmath, at a step so small that only the leading terms are left. With T the derivative of the
    flow, p_T/p_s (fact 17), and w the left eigenvector of M for the root 1, scaled to w T = 1, the error is T times the
    integral of w L over the grid. What L does to the other modes displaces the registers by (1 - M)^-1 L.
    """
    if problem.dimension != 1 or not problem.flow_certificate.exact:
        raise ValueError(f"problem={shown(problem)}: the leading error needs D = 1 and an exact flow")
    if np.size(z) != 1:
        raise ValueError(f"z has shape {np.shape(z)}: pass one state, a number or shape (1,)")
    space = spaces.MPMath(_DIGITS)
    with space.working():
        high, low = (space.number(exact(t)) for t in (t_max, t_min))
        state = space.number(exact(np.ravel(np.asarray(z, dtype=object))[0]))
        where = _grid_map(variable, schedule, low, high, space)
        if high <= low:
            raise ValueError(f"t_max={t_max} is not above t_min={t_min}: exchange them")
        windows = [Window(solver, problem, schedule, where, high, state, step) for step in EPSILONS]
        return _assembled(windows, rtol)


def _grid_map(variable: str | GridMap, schedule: Any, low: Any, high: Any, space: spaces.MPMath) -> GridMap:
    if callable(variable):
        return variable
    if variable not in VARIABLES:
        raise ValueError(
            f"variable={shown(variable)} is unknown: use one of {', '.join(VARIABLES)}, or a function of u = i/N"
        )
    if variable == "t":
        return lambda u: low + u * (high - low)
    ends = [getattr(schedule, variable)(t) for t in (low, high)]
    return lambda u: schedule.time(variable, ends[0] + u * (ends[1] - ends[0]))


def _assembled(windows: Sequence[Window], rtol: float) -> LeadingError:
    from mpmath import mp
    from scipy.integrate import quad_vec

    fine, place = windows[1], mp.mpf(1) / 3
    parts, middle = [w.parts() for w in windows], [w.source(place) for w in windows]
    ends = [order_between(*(getattr(p, name) for p in parts)) for name in ("start", "displacement", "oscillating")]
    order = int(min(order_between(*middle) - 1, *ends))
    scale, slope = fine.epsilon**order, fine.slope()
    swinging, seen = fine.swings and parts[1].oscillating != 0, {}

    def integrand(u: float) -> Array:
        """Return the density of the error, and the growth of the oscillating mode."""
        growth = float(fine.growth(mp.mpf(u))) if swinging else 0.0
        seen[u] = float(slope * fine.source(mp.mpf(u)) / (scale * fine.epsilon))
        return np.array([seen[u], growth])

    # Where an integral cancels, it is the size of the integrand that counts.
    least = rtol * float(abs(integrand(1 / 3)).max())
    (total, growth), error = quad_vec(integrand, 0, 1, epsrel=rtol, epsabs=least, norm="max", quadrature="gk15")[:2]
    start, displacement = (float(getattr(parts[1], name) / scale) for name in ("start", "displacement"))
    oscillating = float(parts[1].oscillating / scale * mp.exp(growth)) * (-1) ** fine.depth if swinging else 0.0
    u = np.array(sorted(seen))
    density, whole = np.array([seen[x] for x in u]), float(total) + start + displacement
    return LeadingError(order, whole, oscillating, start, displacement, float(error), u, density)
