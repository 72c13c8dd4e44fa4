"""Numerical reference for flows without a closed form, with an estimate of its own error.

heyoka's Taylor integrator does not have the right-hand side of dy/ds = eps written here: it is what the distribution's score
gives at alpha = 1 on symbols of heyoka, so any distribution whose score is a formula in the components will do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.schedules.base import SINGLE, inside
from bdia_numerics.spaces import Array, GenericArithmetic, ordered
from bdia_numerics.texts import one_of, shown

MISSING = "heyoka is not installed: pip install 'bdia_numerics[reference]', or use method='DOP853'"
FINEST = float(np.finfo(np.float64).eps)
_MOST_TERMS = 600
"""Numbers in a distribution beyond which compiling takes seconds, and a step as long as NumPy's on the whole batch."""
_WORTH = 3000
"""Blocks of states x numbers in the distribution after which code is optimised: then they took about half the time that it takes."""
_MAX_STEPS = 100_000


def heyoka() -> Any:
    """Return the library, or raise ImportError with the name of the extra."""
    try:
        import heyoka as library
    except ImportError:
        raise ImportError(MISSING) from None
    return library


def installed() -> bool:
    """Say whether heyoka can be imported."""
    return find_spec("heyoka") is not None


@dataclass(frozen=True)
class Expressions(GenericArithmetic):
    """Expressions of heyoka as the number system in which a score is evaluated once, to be compiled."""

    name = "heyoka's expressions"
    traced = True

    def number(self, x: object) -> Any:
        """Return a number as a constant; expressions pass."""
        kind = heyoka().expression
        return x if isinstance(x, kind) else kind(float(x))  # type: ignore[arg-type]

    def exp(self, x: Any) -> Any:
        return heyoka().exp(x)

    def sqrt(self, x: Any) -> Any:
        return heyoka().sqrt(x)

    def largest(self, values: Sequence[Any]) -> Any:
        """Return the largest value. Its derivatives are those of the branch taken, and cancel from a softmax."""
        library, (top, *others) = heyoka(), values
        for x in others:
            top = library.select(library.gt(x, top), x, top)
        return top


def moderate(law: Any) -> bool:
    """Say whether a distribution is given by components, and by few enough to compile its score."""
    terms = law._terms()
    return terms is not None and terms <= _MOST_TERMS


def taylor_flow(law: Any, y: Array, start: float, end: float, *, rtol: float) -> tuple[Array, int]:
    """Solve dy/ds = eps for every state by itself, several at a time in the lanes of the processor.

    Parameters
    ----------
    law
        A problem given by its components.
    y
        States z/alpha at `start`, shape (n, D), float64.
    start, end
        Values of s = sigma/alpha, in either order, finite.
    rtol
        Tolerance of each step, relative; it sets the order of the Taylor polynomials.

    Returns
    -------
    states, steps
        States at `end`, shape (n, D), and the largest number of steps of a state.

    Raises
    ------
    ImportError
        Without heyoka; the message names the extra.
    TypeError
        If the score is not a formula in the components.
    ArithmeticError
        If the integrator stops before `end`.
    """
    library = heyoka()
    made, idle = _compiled(law, rtol, len(y))
    # Threads share what is compiled, but each runs a copy of its own: one that is idle, as copies take longer than short runs.
    run = idle.pop() if idle else copy.deepcopy(made)
    result, most, lanes = np.empty_like(y), 0, run.batch_size
    for first in range(0, len(y), lanes):
        part = y[first : first + lanes].T
        run.state[:, : part.shape[1]] = part
        run.state[:, part.shape[1] :] = part[:, -1:]
        run.set_time(start)
        run.propagate_until(end, max_steps=_MAX_STEPS)
        outcomes = [lane[0] for lane in run.propagate_res]
        if any(outcome != library.taylor_outcome.time_limit for outcome in outcomes):
            raise ArithmeticError(
                f"the Taylor integration from s = {start} to {end} stopped at s = {list(map(float, run.time))}"
            )
        result[first : first + lanes] = run.state[:, : part.shape[1]].T
        most = max(most, *(lane[3] for lane in run.propagate_res))
    idle.append(run)
    return result, most


def _compiled(law: Any, rtol: float, states: int) -> tuple[Any, list[Any]]:
    """Return what is compiled for a distribution, a tolerance and one state or many, and its idle copies.

    Code is compiled without optimisation, which takes a tenth of the time, until so much has been asked of it that optimised code, three
    times as fast, would have been worth its price.
    """
    found = vars(law).setdefault("_taylor", {})
    library = heyoka()
    lanes = library.recommended_simd_size() if states > 1 else 1
    found[rtol, lanes] = found.get((rtol, lanes), 0) + -(-states // lanes) * law._terms()
    key = rtol, lanes, int(found[rtol, lanes] >= _WORTH)
    if key not in found:
        made = library.taylor_adaptive_batch(
            field(law),
            np.zeros((law.dimension, lanes)),
            time=[0.0] * lanes,
            tol=rtol,
            compact_mode=True,
            opt_level=key[2],
        )
        found[key] = made, []
    return found[key]


def field(law: Any) -> list[tuple[Any, Any]]:
    """Return the system dy/ds = -s score(y; 1, s) as pairs (variable, right-hand side) of heyoka."""
    library = heyoka()
    variables = [library.expression(f"y_{d}") for d in range(law.dimension)]
    y = np.empty((1, law.dimension), dtype=object)
    y[0] = variables
    score = law._score_at(y, 1, library.time, Expressions())
    return [(v, -library.time * rate) for v, rate in zip(variables, score[0], strict=True)]


Method = Literal["auto", "taylor", "DOP853"]

_COARSER = 100.0
_DEFAULT = {"taylor": FINEST, "DOP853": 1e-11}
_FINEST = {"taylor": FINEST, "DOP853": 100 * FINEST}


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
        For times outside the schedule, alpha = 0 at one of them, NaN states, a model that gives another shape, unknown methods,
        and tolerances that float64 cannot keep.
    TypeError
        For states that are not floats, and Taylor steps on a model that is not a distribution's.
    ImportError
        For Taylor steps without heyoka; the message names the extra.
    ArithmeticError
        If the integrator gives up: also on a model that gives two outputs for the same states, and on one that is not smooth to the
        tolerance, where a run of DOP853 would take more than 100,000 evaluations.

    Notes
    -----
    Eq. (2)-(3) in the variables in which DDIM, eq. (6), is Euler's method.
    """
    array = np.asarray(spaces.plain("z", z))
    space = spaces.of(array)
    if not space.floats:
        raise TypeError(f"z is in {space.name}, and the reference is computed in float64: pass float states")
    spaces.require_finite("z", array, space)
    chosen = _chosen(method, model, schedule)
    rtol = _DEFAULT[chosen] if rtol is None else rtol
    if not _FINEST[chosen] <= rtol < 1e-2:
        raise ValueError(f"rtol={shown(rtol)}: use a tolerance between {_FINEST[chosen]:.1e} and 1e-2")
    begin, end = spaces.FLOAT64.number(t_from), spaces.FLOAT64.number(t_to)
    for name, t in (("t_from", begin), ("t_to", end)):
        if schedule.alpha(inside(schedule, name, t, SINGLE)) == 0:
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
    one_of("method", method, ("auto", "taylor", "DOP853"))
    law = law_of(model, schedule)
    known = law is not None and law._terms() is not None
    if method == "taylor":
        if not known:
            raise TypeError(
                f"model is a {type(model).__name__}: Taylor steps need law.model(schedule) of a distribution given by components, with the "
                "schedule of the flow; use method='DOP853'"
            )
        heyoka()
        return "taylor"
    return "taylor" if method == "auto" and known and moderate(law) and installed() else "DOP853"


def law_of(model: Any, schedule: Any) -> Any:
    """Return the distribution that a model is the noise prediction of, None for any other model."""
    return model._law_under(schedule) if hasattr(model, "_law_under") else None


def _taylor(model: Any, schedule: Any, z: Array, begin: float, end: float, rtol: float) -> tuple[Array, int]:
    _check_ends(model.law, schedule, begin, end)
    y = z.astype(np.float64).reshape(-1, model.law.dimension) / schedule.alpha(begin)
    span = (float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end)))
    moved, steps = taylor_flow(model.law, y, *span, rtol=rtol)
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
            return np.asarray(law._noise_at(y.reshape(-1, law.dimension), one, level, spaces.FLOAT64)).ravel()

        return own

    def slope(s: float, y: Array) -> Array:
        # A root found for s may miss the ends of the schedule's domain by a rounding.
        t = min(max(float(schedule.time("sigma_bar", min(max(s, least), most))), earliest), latest)
        z, name = schedule.alpha(t) * y.reshape(shape), f"model(z, t={t})"
        # A copy: the integrator keeps slopes, and a model may write every output into one array.
        return np.array(spaces.plain(name, spaces.shaped(name, model(z, t), z)), dtype=np.float64).ravel()

    return slope


def dop853(model: Any, schedule: Any, z: Array, begin: float, end: float, rtol: float) -> tuple[Array, int]:
    """Return the states at `end` by scipy's DOP853, and the number of evaluations."""
    from scipy.integrate import solve_ivp

    start = np.ravel(z.astype(np.float64)) / schedule.alpha(begin)
    size = float(np.sqrt(np.mean(start**2)))
    span = (float(schedule.sigma_bar(begin)), float(schedule.sigma_bar(end)))
    slope, asked = right_hand_side(model, schedule, z.shape, begin, end), 0
    with np.errstate(all="ignore"):
        first = slope(span[0], start)
        if not np.isfinite(first).all():  # later, a step that meets such values is tried shorter
            raise ArithmeticError(f"the reference integration cannot start: the model is not finite at t = {begin}")

        def watched(s: float, y: Array) -> Array:
            nonlocal asked
            asked += 1
            found = slope(s, y)
            # Some releases of scipy ask elsewhere before they ask at the start once more.
            again = asked == 1 and s == span[0]
            if again and np.max(np.abs(found - first)) > rtol * np.max(np.abs(first)):
                raise ArithmeticError(
                    f"the reference integration cannot start: the model gives two outputs for the same states at t = {begin}: let it "
                    "draw no random numbers, as a network with dropout does not after net.eval()"
                )
            if asked > _MAX_STEPS:
                raise ArithmeticError(
                    f"the reference integration from t = {begin} to t = {end} takes more than {_MAX_STEPS:,} evaluations at "
                    f"rtol={rtol:.1e}: compute the model in float64, without jumps, or pass a larger rtol"
                )
            return found

        # States that are all 0 have no size: they are then compared with 1.
        solution = solve_ivp(watched, span, start, method="DOP853", rtol=rtol, atol=rtol * min(size or 1.0, 1.0))
    if not solution.success:
        raise ArithmeticError(f"the reference integration from t = {begin} to t = {end} stopped: {solution.message}")
    return schedule.alpha(end) * solution.y[:, -1].reshape(z.shape), int(solution.nfev) + 1  # the first look
