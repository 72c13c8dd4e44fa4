"""What a step program is, whatever its numbers: registers, times, evaluations and linear combinations per step.

What each register holds, a state or a prediction, is read off the step as its length falls to 0. There all noise levels
meet, so that every value of a step is a multiple of the state plus a multiple of eps: 1 and 0 for a state, 0 and 1 for an
evaluation. A coefficient that has no limit that is known, as a ratio of two steps, leaves the kinds of what is added to decide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from bdia_numerics import models
from bdia_numerics.grids import Levels, Point, Pointwise
from bdia_numerics.program.identity import remembered
from bdia_numerics.program.ops import Combine, Evaluate, Held, Mix, Op, Time, Trace, rows
from bdia_numerics.program.record import Form, Linear, Recorder
from bdia_numerics.program.refusal import theirs
from bdia_numerics.spaces import GenericArithmetic, decimal, of_kind, takes


def _limits(operation: Callable[[Any, Any], Any]) -> Callable[[Limit, object], Any]:
    def found(self: Limit, other: object) -> Any:
        # The form multiplies itself by the scalar then.
        if isinstance(other, Linear):
            return NotImplemented
        right = limit(other)
        x, y = self.value, right.value
        if x is None or y is None or (operation is operator.truediv and not y):
            return Limit()
        return Limit(operation(x, y), exact=self.exact and right.exact)

    return found


class Limit:
    """A scalar of a step whose length falls to 0: its limit, or None where that is not known."""

    def __init__(self, value: Fraction | None = None, name: object = None, exact: bool = False) -> None:
        self.value, self.name, self.exact = value, name, exact

    def __eq__(self, other: object) -> bool:
        known = isinstance(other, Limit) and (self.value, self.name) == (other.value, other.name)
        return self is other or (known and not self.value is self.name is None)

    def __hash__(self) -> int:
        return hash(self.value)

    __add__ = __radd__ = _limits(operator.add)
    __mul__ = __rmul__ = _limits(operator.mul)
    __sub__, __truediv__ = _limits(operator.sub), _limits(operator.truediv)

    def __neg__(self) -> Any:
        return self * -1

    def __rsub__(self, other: object) -> Any:
        return limit(other) - self

    def __rtruediv__(self, other: object) -> Any:
        return limit(other) / self

    def _unread(self, *_: object) -> Any:
        raise TypeError(
            "a step is recorded once for all levels, so that alpha, sigma and t have no value in it: compare and compute with "
            "s.function('exp', x), s.is_zero(x) or s.i, or take a parameter that is a function of the slot"
        )

    __float__ = __int__ = __abs__ = __gt__ = __lt__ = __ge__ = __le__ = __array_ufunc__ = _unread

    def __pow__(self, k: object) -> Limit:
        # 0 to a negative power diverges, and a root need not be rational.
        whole = isinstance(k, int) and self.value is not None and (self.value or k >= 0)
        return Limit(self.value**k if whole else None, exact=self.exact)  # type: ignore[operator]


def limit(x: object) -> Limit:
    """Return a number as its own limit; a symbol, a function or another system's number is not known."""
    if isinstance(x, Limit):
        return x
    if isinstance(x, int | Fraction) or (isinstance(x, float) and abs(x) < float("inf")):
        return Limit(decimal(x), exact=True)
    return Limit(None, x)


class Limits(GenericArithmetic):
    """The number system of a step whose length falls to 0."""

    name = "limits"
    exact = True

    def number(self, x: object) -> Limit:
        """Return a number as its own limit."""
        return limit(x)

    def is_zero(self, x: object) -> bool:
        """Say whether it is the number 0: a limit that vanishes says nothing of what tends to it, and its term is kept."""
        return limit(x).exact and not limit(x).value


LIMITS = Limits()
LEVEL = Point(*(Limit(Fraction(p, q)) for p, q in ((2, 29), (3, 7), (5, 11), (-13, 17), (19, 23))))
"""The one level that a step sees: any numbers will do between which no relation holds."""

Weights = dict[str, Limit]
"""A value as a combination of the registers before the step, by name, and of eps, under the name ""."""

STATE, EPS, OTHER = "state", "eps", "other"
_FORMS = {"x0": models.x0_form, "velocity": models.velocity_form, "v": models.v_form}
VALUES: dict[str, tuple[Fraction, Fraction]] = {STATE: (Fraction(1), Fraction(0)), EPS: (Fraction(0), Fraction(1))} | {
    kind: tuple(c.value for c in form("eps", LEVEL)) for kind, form in _FORMS.items()
}
"""What a register of each kind holds: multiples of the state and of eps."""


def weights(ops: Sequence[Op], before: Mapping[str, int]) -> dict[int, Weights]:
    """Return the values of a step, by number; a number that is not there is an evaluation."""
    found: dict[int, Weights] = {number: {name: Limit(Fraction(1))} for name, number in before.items()}
    for op in ops:
        for target, _, terms in rows(op):
            found[target] = combined(terms, found)
    return found


def combined(terms: Sequence[tuple[Any, int]], known: Mapping[int, Weights]) -> Weights:
    """Return a combination of values."""
    total: Weights = {}
    for c, number in terms:
        for name, w in known.get(number, {"": Limit(Fraction(1))}).items():
            total[name] = total.get(name, Limit(Fraction(0))) + limit(c) * w
    return total


def held(value: Weights, kinds: Mapping[str, str]) -> tuple[Fraction, Fraction] | set[str]:
    """Return the multiples of the state and of eps in a value; the kinds of what it is made of, where a limit is not known."""
    parts = {name: EPS if not name else kinds[name] for name in value}
    if any(w.value is None for w in value.values()) or OTHER in parts.values():
        return set(parts.values())
    # Each part is itself a multiple of the state plus a multiple of eps, and so is their sum.
    total = [sum((w.value * VALUES[parts[n]][k] for n, w in value.items()), Fraction(0)) for k in (0, 1)]  # type: ignore[operator]
    return total[0], total[1]


def fits(value: Weights, kinds: Mapping[str, str], kind: str) -> bool:
    """Say whether a value may be what a register of a kind holds."""
    found = held(value, kinds)
    if isinstance(found, tuple):
        return found == VALUES[kind]
    return STATE in found if kind == STATE else found == {kind}


def inferred(after: Mapping[str, Weights], fixed: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of all registers, from what a step assigns to them; those of `fixed` are given.

    All others are first taken for states, then for evaluations, and each is given the first kind that fits what it is assigned
    until none changes. The first of the two that contradicts nothing is returned, or the one that contradicts less.
    """
    results = []
    for first in (STATE, EPS):
        kinds = {name: fixed.get(name, first) for name in after}
        # What one register holds may depend on another one, which was settled a round before: as many rounds as registers suffice.
        for name in [name for name in after if name not in fixed] * len(after):
            kinds[name] = next((k for k in VALUES if fits(after[name], {**kinds, name: k}, k)), kinds[name])
        wrong = sum(not fits(value, kinds, kinds[name]) for name, value in after.items() if name not in fixed)
        results.append((wrong, kinds))
    return min(results, key=lambda pair: pair[0])[1]


class Solver(Protocol):
    """What any solver must have: the names of its registers, and one step.

    Optional attributes: ``output``, the register that is the solution's `.z` ("z" by default); ``evaluations``, the
    names of the registers that hold evaluations instead of states, or a dict from names to "eps", "x0", "v" or "velocity", where
    what the step assigns to them does not say it; ``starter``, the solver that makes the first states, DDIM by default;
    ``given``, the registers that only the caller's start can fill.
    """

    @property
    def registers(self) -> Sequence[str]:
        """Names of the registers, in the order in which `step` is given them."""

    def step(self, s: Any) -> None:
        """Record the step from t_i to t_{i-1} with a `Recorder`."""


_ANY_GRID = Pointwise(LIMITS, lambda time: LEVEL)
_APART = Pointwise(
    LIMITS, lambda time: Point(*(limit(x) + (time if isinstance(time, int) else Fraction(1, 2)) for x in LEVEL))
)
"""Levels that differ from one time to the next, which tell recordings of a step apart."""


@dataclass(eq=False)
class _ShapeRecorder(Recorder):
    before: Mapping[str, int] = field(default_factory=dict)
    asked: list[tuple[Form, Form]] = field(default_factory=list)

    def value(self, parameter: object) -> Any:
        # Only what a register holds in the limit of a short step is asked here, so that a parameter is its own limit.
        return limit(parameter)

    def function(self, name: str, x: Any) -> Any:
        # The functions of a step compare noise levels, which all meet in the limit: ratios of steps have no known one.
        return Limit()

    def angle(self, time: Time) -> Any:
        return Limit()

    def delta(self, i: Time, j: Time, z: Linear, e: Linear) -> Form:
        # Kept for the check that e holds an evaluation, which can be made only when the kinds of all registers are known.
        self.asked.append((z.form(), e.form()))
        return super().delta(i, j, z, e)


@dataclass(frozen=True)
class Structure:
    """Shape of a step program, once it has settled.

    Attributes
    ----------
    registers
        Names, as the solver gives them.
    lags
        For each register, the index at which it stands before a step from t_i, less i: 0 for the present state, 1 for
        the state before it.
    output
        The register that is the solution's `.z`.
    kinds
        What each register holds: "state", "eps", "x0", "v" or "velocity", as the solver says or as the step assigns it; "other"
        for what is none of them, such as an increment, with which no start can fill it.
    nfe
        Model evaluations per step.
    combinations
        Linear combinations per step, each one pass over memory.
    """

    registers: tuple[str, ...]
    lags: tuple[int, ...]
    output: str
    kinds: tuple[str, ...]
    nfe: int
    combinations: int

    @property
    def evaluations(self) -> tuple[str, ...]:
        """Registers that hold predictions, not states."""
        return tuple(name for name, kind in zip(self.registers, self.kinds, strict=True) if kind != STATE)

    def kind(self, name: str) -> str:
        """What a register holds."""
        return self.kinds[self.registers.index(name)]

    @property
    def depth(self) -> int:
        """Number of slots that the start takes."""
        return max(self.lags)

    @property
    def keeps_noise(self) -> bool:
        """Whether a register holds the state furthest from the data, not a prediction that was made there."""
        return (self.depth, STATE) in zip(self.lags, self.kinds, strict=True)

    @property
    def noise_lost(self) -> str:
        """Why the state at the noise end does not come back with the registers, in words; empty where it does."""
        slots = f"{self.depth} slot{'s' * (self.depth > 1)}"
        return "" if self.keeps_noise else f"the start takes {slots}, and no register keeps the state at the noise end"

    def end_index(self, name: str) -> int:
        """Index at which a register stands after the last step."""
        return self.lags[self.registers.index(name)]


@remembered
def structure(solver: Solver) -> Structure:
    """Read the shape of a solver off its step.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.

    Returns
    -------
    Structure
        Registers, their times and kinds, and the counts of a step.

    Raises
    ------
    TypeError
        If the object has no `registers` or no `step`.
    ValueError
        If the registers' times do not settle, two recordings of the step differ, `output` names no register, or `evaluations` says
        other than the step.

    Examples
    --------
    >>> from bdia_numerics import EDICT
    >>> from bdia_numerics.program import structure
    >>> structure(EDICT()).registers, structure(EDICT()).nfe
    (('z', 'y'), 2)
    """
    of_kind("solver", "solver", solver)
    takes(f"step of {type(solver).__name__}", solver.step, "s")
    registers = _names(solver)
    # Any first guess will do, since a step moves each register by a number of slots that does not depend on where it stands.
    lags: tuple[Any, ...] = (0,) * len(registers)
    # The times are a fixed point: each turn passes one register's time on to the next, so a chain of r needs r turns.
    for _ in range(len(registers) + 2):
        held, second = _two_steps(solver, registers, lags)
        after = tuple(x.time for x in held.values())
        if after == lags:
            break
        lags = after
    else:
        raise ValueError(f"{type(solver).__name__}: {_unmoved(held, second)}")
    # A register that stands at a time between two indices, or ahead of the step, has no index at which a start could fill it.
    if any(not isinstance(lag, int) or lag < 0 for lag in lags) or 0 not in lags:
        where = ", ".join(f"{name} at {lag}" for name, lag in zip(registers, lags, strict=True))
        raise ValueError(
            f"{type(solver).__name__}: after a step to t_i its registers stand at {where} slots above i: assign one at=s.i - 1, none below"
        )
    _, step = _two_steps(solver, registers, lags)
    if _computed(solver, registers, lags) != _computed(solver, registers, lags):
        raise ValueError(
            f"{type(solver).__name__}: its step is another one each time that it is recorded: let it draw no random numbers and count "
            "no calls, and tell slots apart by s.i or a parameter that is a function of the slot"
        )
    ops, kinds = step.ops, _kinds(solver, registers, lags, step)
    return Structure(
        registers=registers,
        lags=lags,
        output=_output(solver, registers, lags, kinds),
        kinds=tuple(kinds.values()),
        nfe=sum(isinstance(op, Evaluate) for op in ops),
        combinations=sum(len(op.targets) if isinstance(op, Mix) else 1 for op in ops if not isinstance(op, Evaluate)),
    )


def _computed(
    solver: Solver, registers: tuple[str, ...], lags: tuple[Any, ...]
) -> dict[int, dict[str, Fraction | None]]:
    """Return what a step computes between levels that differ, by number, as far as that follows without functions."""
    _, step = _two_steps(solver, registers, lags, _APART)
    values = weights(step.ops, step.before)
    return {number: {name: w.value for name, w in value.items()} for number, value in values.items()}


def _unmoved(before: Mapping[str, Held], step: _ShapeRecorder) -> str:
    """Return which registers a step leaves at their time, and what moves them."""
    still = [name for name, x in before.items() if step.held[name].time == x.time]
    assigned = {op.register for op in step.ops if isinstance(op, Combine)}
    for name in still:
        moved = next((other for other in before if other not in still), None)
        if name in assigned:
            return f"the step assigns {name} and leaves it at the time of its old value: write s.assign({name}, ..., at=s.i - 1)"
        swap = f", or exchange it at the end, s.swap({moved}, {name})" if moved else ""
        return f"the step never moves {name} to the new time: write s.assign({name}, ..., at=s.i - 1){swap}"
    return "the times of its registers do not settle: end each step with all of them moved by one slot"


def _names(solver: Any) -> tuple[str, ...]:
    given = solver.registers
    names = () if isinstance(given, str) else tuple(given)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        kind = type(solver).__name__
        raise ValueError(
            f"registers={given!r} of {kind} are not distinct names: give a tuple, for instance ('z_prev', 'z')"
        )
    return names


def _declared(solver: Solver, registers: tuple[str, ...]) -> dict[str, str]:
    """Return the kinds that a solver says itself; ValueError for names and kinds that there are not."""
    given: Any = getattr(solver, "evaluations", ())
    given = dict(given) if isinstance(given, Mapping) else given
    known = isinstance(given, Mapping | tuple | list | set | frozenset) and set(given) <= set(registers)
    kinds = (dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, EPS)) if known else {}
    if not known or not set(kinds.values()) <= set(VALUES) - {STATE}:
        raise ValueError(
            f"evaluations={given!r} of {type(solver).__name__}: give a tuple of names among its registers {registers}, "
            "or a dict from them to 'eps', 'x0', 'v' or 'velocity'"
        )
    return kinds


def _kinds(solver: Solver, registers: tuple[str, ...], lags: tuple[Any, ...], step: _ShapeRecorder) -> dict[str, str]:
    """Return what each register holds; ValueError where it contradicts what the step does with it."""
    name, before = type(solver).__name__, step.before
    values = weights(step.ops, before)
    after = {r: combined(((1, step.held[r].number),), values) for r in registers}
    declared = _declared(solver, registers)
    asked = {op.argument for op in step.ops if isinstance(op, Evaluate)}
    # The model is asked at states, and the solution is one, whatever the step assigns to them.
    states = {r for r in registers if before[r] in asked or r in ("z", getattr(solver, "output", "z"))} - set(declared)
    kinds = inferred(after, {**dict.fromkeys(states, STATE), **declared})
    for r, kind in kinds.items():
        found = held(after[r], kinds)
        if not isinstance(found, tuple) or found == VALUES[kind]:
            continue
        other = next((k for k, value in VALUES.items() if value == found), None)
        if r in declared and other is not None:
            says = f"evaluations of {name} says that {r} holds {kind}, and the step assigns it {_WORDS[other]}"
            raise ValueError(f"{says}: {_remedy(r, other)}")
        # Without a part of the state it is no state, and with another multiple of eps than 1 no evaluation either.
        if r not in {*declared, *states} and not found[0]:
            kinds[r] = OTHER
    for forms in step.asked:
        z, e = (combined(tuple((c, number) for number, c in form.terms.items()), values) for form in forms)
        _check_asked(name, kinds, z, e)
    return kinds


_WORDS = {
    STATE: "a state",
    EPS: "an evaluation, eps",
    "x0": "a prediction of the data, x0",
    "velocity": "a velocity",
    "v": "a prediction of v",
}


def unfilled(solver: Solver, register: str) -> ValueError:
    """Return the error for a register of kind "other", of which a state alone does not say what it holds."""
    return ValueError(
        f"{type(solver).__name__}: the step assigns {register} neither a state nor a prediction, so that no start fills it: keep "
        f"the evaluations themselves, or name it in an attribute given = ({register!r},) and pass its first value as start="
    )


def _remedy(register: str, kind: str) -> str:
    if kind == STATE:
        return f"leave {register} out of evaluations"
    return f"set evaluations = {{{register!r}: {kind!r}}}" if kind != EPS else f"set evaluations = ({register!r},)"


def _check_asked(solver: str, kinds: Mapping[str, str], z: Weights, e: Weights) -> None:
    """Refuse s.delta(i, j, z, e) where e is not an evaluation: a state can enter it only with z itself, as in (z - alpha x0)/sigma."""
    found = held(e, kinds)
    for name in sorted(filter(None, e)):
        wrong = found != VALUES[EPS] if set(e) == {name} else kinds[name] == STATE and name not in z
        if kinds[name] in _WORDS and kinds[name] != EPS and (bool(found[0]) if isinstance(found, tuple) else wrong):
            raise ValueError(
                f"{solver}: s.delta(i, j, z, e) takes register {name} for an evaluation, and it holds {_WORDS[kinds[name]]}: "
                f"assign it what s.eps returns, or set evaluations = ({name!r},)"
            )


def _output(solver: Solver, registers: tuple[str, ...], lags: tuple[int, ...], kinds: Mapping[str, str]) -> str:
    current = [name for name, lag in zip(registers, lags, strict=True) if lag == 0 and kinds[name] == STATE]
    output = getattr(solver, "output", "z" if "z" in current else None)
    if output is None:
        if not current or len(registers) == 1:
            if kinds.get("z", STATE) != STATE:
                raise ValueError(
                    f"{type(solver).__name__}: z would be the solution, and it holds {_WORDS.get(kinds['z'], 'no state')}: "
                    "leave z out of evaluations, or say which register is the solution by output="
                )
            raise ValueError(
                f"registers={registers} of {type(solver).__name__} hold no state z, which would be the solution: "
                "name a register 'z', or say which one it is by output="
            )
        # The last one by convention: z_prev stands before z in the registers of two-step solvers.
        output = current[-1]
    if output not in registers:
        raise ValueError(f"{solver!r}: output={output!r} is none of its registers {registers}")
    if output not in current:
        raise ValueError(
            f"{type(solver).__name__}: output={output!r} holds no state at s.i - 1 after a step, as the solution does: name "
            f"{' or '.join(current) or 'a register that is moved there'}"
        )
    return str(output)


def _two_steps(
    solver: Solver, registers: tuple[str, ...], lags: tuple[Any, ...], grid: Levels = _ANY_GRID
) -> tuple[dict[str, Held], _ShapeRecorder]:
    """Record the steps from t_1 and t_0; return what is held at t_0, and the second step, which shows what is remembered."""
    trace = Trace(grid)
    held = {
        name: Held(trace.new(name), 1 + lag if isinstance(lag, int) else lag)
        for name, lag in zip(registers, lags, strict=True)
    }
    first = _ShapeRecorder(trace, 1, held)
    theirs(solver.step, first)
    settled = {name: first.held[name] for name in registers}
    # Only the second step meets evaluations that the first one has left, and so counts those that are made anew in every step.
    second = _ShapeRecorder(trace, 0, dict(settled), before={name: x.number for name, x in settled.items()})
    theirs(solver.step, second)
    return settled, second
