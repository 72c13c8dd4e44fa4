"""Reference flows by heyoka's Taylor integrator: a distribution's own score, evaluated on expressions and compiled.

The right-hand side of dy/ds = eps is not written here: it is what the distribution's score gives at alpha = 1 on symbols of
heyoka, so any distribution whose score is a formula in the components will do.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from bdia_numerics.spaces import Array
from bdia_numerics.spaces.base import GenericArithmetic

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
    compiled: tuple[Any, list[Any]] = found[key]
    return compiled


def field(law: Any) -> list[tuple[Any, Any]]:
    """Return the system dy/ds = -s score(y; 1, s) as pairs (variable, right-hand side) of heyoka."""
    library = heyoka()
    variables = [library.expression(f"y_{d}") for d in range(law.dimension)]
    y = np.empty((1, law.dimension), dtype=object)
    y[0] = variables
    score = law._score_at(y, 1, library.time, Expressions())
    return [(v, -library.time * rate) for v, rate in zip(variables, score[0], strict=True)]
