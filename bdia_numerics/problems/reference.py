"""Numerical reference for flows without a closed form, with an estimate of its own error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.problems import taylor
from bdia_numerics.spaces import Array
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown

Method = Literal["auto", "taylor", "DOP853"]

_COARSER = 100.0
_DEFAULT = {"taylor": taylor.FINEST, "DOP853": 1e-11}
_FINEST = {"taylor": taylor.FINEST, "DOP853": 100 * taylor.FINEST}


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
        Model evaluations of both runs, each of the whole batch; 0 for Taylor steps, which evaluate the distribution's formula.
    method
        What was run, with its tolerances and its work.
    """

    z: Array
    error: float
    rms: float
    nfe: int
    method: str


@ordered
def reference_flow(
    model: Any, schedule: Any, z: Array, t_from: Any, t_to: Any, *, rtol: float | None = None, method: Method = "auto"
) -> ReferenceFlow:
    """Solve dy/ds = eps(alpha y, t(s)), y = z/alpha, s = sigma/alpha, twice, and say how far the two runs are apart.

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
        Relative tolerance of the finer run; the coarser has 100 times as much. By default 1e-11 for DOP853, and the
        rounding of float64 for Taylor steps, which cost hardly more for it.
    method
        "taylor": heyoka's Taylor integrator, every state by itself; for models ``law.model(schedule)`` of a distribution given by
        its components. "DOP853": Dormand and Prince's method of order 8(5,3), by scipy, the whole batch coupled; for any
        model. "auto": Taylor steps for such a model of at most 600 numbers, if heyoka is installed, else DOP853; DOP853 too
        where Taylor coefficients overflow, as between scales that are 1e14 apart.

    Raises
    ------
    ValueError
        For alpha = 0 at either time, NaN states, unknown methods and tolerances that float64 cannot keep.
    TypeError
        For states that are not floats, and Taylor steps on a model that is not a distribution's.
    ImportError
        For Taylor steps without heyoka; the message names the extra.
    ArithmeticError
        If the integrator gives up.

    Notes
    -----
    Eq. (2)-(3) in the variables in which DDIM, eq. (6), is Euler's method.
    """
    array = np.asarray(spaces.plain("z", z))
    space = spaces.of(array)
    if not space.floats:
        raise TypeError(f"z is in {space.name}, and the reference is computed in float64: pass float states")
    if not space.finite(array):
        raise ValueError("z contains NaN or infinity: the reference needs finite states")
    chosen = _chosen(method, model, schedule)
    rtol = _DEFAULT[chosen] if rtol is None else rtol
    if not _FINEST[chosen] <= rtol < 1e-2:
        raise ValueError(f"rtol={shown(rtol)}: use a tolerance between {_FINEST[chosen]:.1e} and 1e-2")
    begin, end = spaces.FLOAT64.number(t_from), spaces.FLOAT64.number(t_to)
    for name, t in (("t_from", begin), ("t_to", end)):
        if schedule.alpha(t) == 0:
            raise ValueError(f"{name}={t}: alpha is 0 there, so y = z/alpha has no value; use a time with alpha > 0")
    if begin == end or array.size == 0:
        return ReferenceFlow(array.copy(), 0.0, 0.0, 0, "identity")
    solve = {"taylor": _taylor, "DOP853": dop853}[chosen]
    rougher = min(_COARSER * rtol, 1e-2)
    try:
        coarse, work_coarse = solve(model, schedule, array, begin, end, rougher)
        fine, work_fine = solve(model, schedule, array, begin, end, rtol)
    except ArithmeticError:
        if method == "auto" and chosen == "taylor":
            return reference_flow(model, schedule, z, t_from, t_to, rtol=max(rtol, _DEFAULT["DOP853"]), method="DOP853")
        raise
    difference, work = np.abs(fine - coarse), work_coarse + work_fine
    name, unit = {"taylor": ("Taylor steps (heyoka)", "steps"), "DOP853": ("DOP853", "evaluations")}[chosen]
    return ReferenceFlow(
        fine.astype(array.dtype),
        float(difference.max()),
        float(np.sqrt(np.mean(difference**2))),
        0 if chosen == "taylor" else work,
        f"{name} in (z/alpha, sigma/alpha), rtol {rtol:.1e} against {rougher:.1e}, {work} {unit}",
    )


def _chosen(method: str, model: Any, schedule: Any) -> Literal["taylor", "DOP853"]:
    if method not in ("auto", "taylor", "DOP853"):
        raise ValueError(f"method={shown(method)} is unknown: use 'auto', 'taylor' or 'DOP853'")
    law = law_of(model, schedule)
    known = law is not None and law._terms() is not None
    if method == "taylor":
        if not known:
            raise TypeError(
                f"model is a {type(model).__name__}: Taylor steps need law.model(schedule) of a distribution given by components, with the "
                "schedule of the flow; use method='DOP853'"
            )
        taylor.heyoka()
        return "taylor"
    small = known and taylor.moderate(law)
    return "taylor" if method == "auto" and small and taylor.installed() else "DOP853"


def law_of(model: Any, schedule: Any) -> Any:
    """Return the distribution that a model is the noise prediction of, None for any other model."""
    return model._law_under(schedule) if hasattr(model, "_law_under") else None


def _taylor(model: Any, schedule: Any, z: Array, begin: float, end: float, rtol: float) -> tuple[Array, int]:
    _check_ends(model.law, schedule, begin, end)
    y = z.astype(np.float64).reshape(-1, model.law.dimension) / schedule.alpha(begin)
    span = (float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end)))
    moved, steps = taylor.taylor_flow(model.law, y, *span, rtol=rtol)
    return schedule.alpha(end) * moved.reshape(z.shape), steps


def _check_ends(law: Any, schedule: Any, begin: float, end: float) -> None:
    for t in (begin, end):
        law._check_density(schedule.sigma(t), t)


def right_hand_side(
    model: Any, schedule: Any, shape: tuple[int, ...], begin: float, end: float
) -> Callable[[float, Array], Array]:
    """Return f(s, y) = eps(alpha y, t(s)) on flat states y of a shape, for every real s.

    A distribution's own prediction is that of y at alpha = 1 and sigma = s, for which no schedule is asked. Some releases of scipy
    choose trial steps that leave the interval between the two times, where a schedule may end. There f stands as it does at the nearer
    end: such a step only serves to choose its length, and no result comes from it.
    """
    earliest, latest = min(begin, end), max(begin, end)
    least, most = sorted((float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end))))
    law = law_of(model, schedule)
    if law is not None:
        _check_ends(law, schedule, begin, end)
        one = np.float64(1)

        def own(s: float, y: Array) -> Array:
            level = np.float64(min(max(s, least), most))
            return np.asarray(-level * law._score_at(y.reshape(-1, law.dimension), one, level, spaces.FLOAT64)).ravel()

        return own

    def slope(s: float, y: Array) -> Array:
        # A root found for s may miss the ends of the schedule's domain by a rounding.
        t = min(max(float(schedule.time("sigma_bar", min(max(s, least), most))), earliest), latest)
        output = spaces.plain(f"model(z, t={t})", model(schedule.alpha(t) * y.reshape(shape), t))
        # A copy: the integrator keeps slopes, and a model may write every output into one array.
        return np.array(output, dtype=np.float64).ravel()

    return slope


def dop853(model: Any, schedule: Any, z: Array, begin: float, end: float, rtol: float) -> tuple[Array, int]:
    """Return the states at `end` by scipy's DOP853, and the number of evaluations."""
    from scipy.integrate import solve_ivp

    start = np.ravel(z.astype(np.float64)) / schedule.alpha(begin)
    size = float(np.sqrt(np.mean(start**2)))
    span = (float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end)))
    slope = right_hand_side(model, schedule, z.shape, begin, end)
    with np.errstate(all="ignore"):
        solution = solve_ivp(slope, span, start, method="DOP853", rtol=rtol, atol=rtol * min(size, 1.0))
    if not solution.success:
        raise ArithmeticError(f"the reference integration from t = {begin} to t = {end} stopped: {solution.message}")
    return schedule.alpha(end) * solution.y[:, -1].reshape(z.shape), int(solution.nfev)
