"""Numerical reference for flows without a closed form, with an estimate of its own error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bdia_numerics import spaces

Array = np.ndarray[Any, Any]

_COARSER = 100.0
_FINEST = 100 * float(np.finfo(np.float64).eps)


class ReferenceFlow(NamedTuple):
    """A reference solution.

    Parameters
    ----------
    z
        States at the end, shape (*batch, *data), in the dtype of the start.
    error
        Largest absolute difference of an element of z between the two tolerances: an estimate, and a cautious one,
        since the result is that of the finer tolerance.
    rms
        Root mean square of that difference.
    nfe
        Model evaluations of both runs, each of the whole batch.
    method
        What was run.
    """

    z: Array
    error: float
    rms: float
    nfe: int
    method: str


def reference_flow(
    model: Any, schedule: Any, z: Array, t_from: Any, t_to: Any, *, rtol: float = 1e-11
) -> ReferenceFlow:
    """Solve dy/ds = eps(alpha y, t(s)), y = z/alpha, s = sigma/alpha, with the whole batch coupled.

    Parameters
    ----------
    model
        eps model, ``model(z, t)``.
    schedule
        Gives alpha, sigma_bar and the time of a sigma_bar.
    z
        States at t_from, shape (*batch, *data), floats; computed in float64.
    t_from, t_to
        Times; alpha must be positive at both.
    rtol
        Relative tolerance of the finer run; the coarser has 100 times as much.

    Raises
    ------
    ValueError
        For alpha = 0 at either time, NaN states, and tolerances that float64 cannot keep.
    TypeError
        For states that are no floats.
    ArithmeticError
        If the integrator gives up.

    Notes
    -----
    Dormand and Prince's method of order 8(5,3), scipy's DOP853. Eq. (2)-(3) in the
    variables in which DDIM, eq. (6), is Euler's method.
    """
    array = np.asarray(z)
    space = spaces.of(array)
    if not isinstance(space, spaces.Numpy):
        raise TypeError(f"z is in {space.name}, and the reference is computed in float64: pass float states")
    if not space.finite(array):
        raise ValueError("z contains NaN or infinity: the reference needs finite states")
    if not _FINEST <= rtol < 1e-2:
        raise ValueError(f"rtol={rtol!r}: use a tolerance between {_FINEST:.1e} and 1e-2")
    begin, end = spaces.FLOAT64.number(t_from), spaces.FLOAT64.number(t_to)
    for name, t in (("t_from", begin), ("t_to", end)):
        if schedule.alpha(t) == 0:
            raise ValueError(f"{name}={t}: alpha is 0 there, so y = z/alpha has no value; use a time with alpha > 0")
    if begin == end or array.size == 0:
        return ReferenceFlow(array.copy(), 0.0, 0.0, 0, "identity")
    coarse, nfe_coarse = _dop853(model, schedule, array, begin, end, min(_COARSER * rtol, 1e-2))
    fine, nfe_fine = _dop853(model, schedule, array, begin, end, rtol)
    difference = np.abs(fine - coarse)
    return ReferenceFlow(
        fine.astype(array.dtype),
        float(difference.max()),
        float(np.sqrt(np.mean(difference**2))),
        nfe_coarse + nfe_fine,
        f"DOP853 in (z/alpha, sigma/alpha), rtol {rtol:.1e} against {min(_COARSER * rtol, 1e-2):.1e}",
    )


def _dop853(model: Any, schedule: Any, z: Array, begin: float, end: float, rtol: float) -> tuple[Array, int]:
    from scipy.integrate import solve_ivp

    earliest, latest = min(begin, end), max(begin, end)

    def slope(s: float, y: Array) -> Array:
        # A root found for s may miss the ends of the schedule's domain by a rounding.
        t = min(max(float(schedule.time("sigma_bar", s)), earliest), latest)
        return np.ravel(np.asarray(model(schedule.alpha(t) * y.reshape(z.shape), t), dtype=np.float64))

    start = np.ravel(z.astype(np.float64)) / schedule.alpha(begin)
    size = float(np.sqrt(np.mean(start**2)))
    span = (float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end)))
    with np.errstate(all="ignore"):
        solution = solve_ivp(slope, span, start, method="DOP853", rtol=rtol, atol=rtol * min(size, 1.0))
    if not solution.success:
        raise ArithmeticError(f"the reference integration from t = {begin} to t = {end} stopped: {solution.message}")
    return schedule.alpha(end) * solution.y[:, -1].reshape(z.shape), int(solution.nfev)
